"""What every view gets. Rule: views know these few things and nothing else of the program."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from clients.tk.model.inputs import Intent
from clients.tk.model.model import Model
from clients.tk.views.remembered import Remembered
from clients.tk.views.theme import Theme


class Openings(Protocol):
    """The windows that can be opened from the main window."""

    def add_contact(self) -> None: ...
    def inbox(self) -> None: ...
    def card(self, uid: int) -> None: ...
    def newest_popup(self) -> None: ...
    def keys(self) -> None: ...
    def theme(self, theme: str) -> None: ...
    def quit(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ViewContext:
    """`do`: hands on what the person wants. `write_to`: opens the conversation with a uid, with the keyboard in its field. `now`: the
    present moment."""

    model: Model
    theme: Theme
    remembered: Remembered
    do: Callable[[Intent], None]
    write_to: Callable[[int], None]
    now: Callable[[], datetime]
