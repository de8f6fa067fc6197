"""What every view is given. Rule: views know these few things and nothing else of the program."""

from collections.abc import Callable
from dataclasses import dataclass

from clients.tk.model.inputs import Intent
from clients.tk.model.model import Model
from clients.tk.views.remembered import Remembered
from clients.tk.views.theme import Theme


@dataclass(frozen=True, slots=True)
class Seat:
    """`do`: says what the person wants. `write_to`: opens the conversation with a uid, the keyboard in its field."""

    model: Model
    theme: Theme
    places: Remembered
    do: Callable[[Intent], None]
    write_to: Callable[[int], None]
