"""What the views make of effects, without a toolkit. Rule: it complains of whatever a person would complain of."""

from collections.abc import Iterable

from clients.tk.model.effects import Effect, EntryAdded, EntryChanged, HidePopup, ShowPopup, UpdatePopup
from clients.tk.model.values import Entry, MessageKey, Popup, Sent


class Views:
    """The screen, and all that was ever on it."""

    def __init__(self) -> None:
        self.screen: dict[str, Popup] = {}
        self.shown: list[str] = []
        self.entries: dict[str | MessageKey, Entry] = {}  # by id or key, in the order of their coming

    def show(self, effects: Iterable[Effect], *, only_urgent: bool) -> None:
        """Follow the effects of one fold. `only_urgent`: under "do not disturb"."""
        for effect in effects:
            match effect:
                case ShowPopup(popup):
                    assert popup.id not in self.screen
                    if popup.kind == "message":
                        assert popup.id not in self.shown, "a message pops up once"
                        assert popup.urgent or not only_urgent
                    self.shown.append(popup.id)
                    self.screen[popup.id] = popup
                case UpdatePopup(popup):
                    assert self.screen[popup.id] != popup
                    self.screen[popup.id] = popup
                case HidePopup(popup_id):
                    del self.screen[popup_id]
                case EntryAdded(_, entry):
                    assert name_of(entry) not in self.entries, "a message is there once"
                    self.entries[name_of(entry)] = entry
                case EntryChanged(_, entry):
                    before = self.entries[name_of(entry)]
                    if isinstance(entry, Sent):
                        assert isinstance(before, Sent)
                        assert entry.state > before.state, "never backwards"
                    self.entries[name_of(entry)] = entry


def name_of(entry: Entry) -> str | MessageKey:
    """A sent message's id, a received one's key."""
    return entry.id if isinstance(entry, Sent) else entry.key
