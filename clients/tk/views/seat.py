"""What every view is given. Rule: views know these few things and nothing else of the program."""

from collections.abc import Callable
from dataclasses import dataclass

from clients.tk.model import Model
from clients.tk.model_inputs import Intent
from clients.tk.theme import Theme
from clients.tk.views.remembered import Remembered


@dataclass(frozen=True, slots=True)
class Seat:
    """`do`: says what the person wants. `write_to`: opens the conversation with a uid, the keyboard in its field."""

    model: Model
    theme: Theme
    places: Remembered
    do: Callable[[Intent], None]
    write_to: Callable[[int], None]
