"""Ann at her popup client, for tests of the model alone. Rule: time stands still unless a test lets it pass."""

from datetime import UTC, datetime, timedelta

import flash_sdk as sdk
from clients.tk.model import inputs as said
from clients.tk.model.effects import Command, Effect, HidePopup, Ring, ShowPopup
from clients.tk.model.inputs import Input
from clients.tk.model.model import Model
from clients.tk.model.values import Account

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
BOB, CAROL = 2, 3


def contact(uid: int, status: str = "offline", *, notify: bool = False, name: str = "") -> sdk.Contact:
    """An entry of Ann's list."""
    handle = {BOB: "bob", CAROL: "carol"}.get(uid, f"user-{uid}")
    return sdk.Contact(uid, handle, name, None, notify, sdk.Status(status, NOON if status != "unknown" else None))


class Ann:
    """The model, the effects of all folds, and a clock."""

    def __init__(self, signed_in: said.SignedIn | None = None) -> None:
        self.model = Model()
        self.now = NOON
        self.effects: list[Effect] = []
        self.hears(signed_in or said.SignedIn(Account("http://flash", 1, "ann")))

    def hears(self, *happened: Input) -> list[Effect]:
        """Fold; gives the effects of these folds."""
        fresh = [effect for each in happened for effect in self.model.fold(each, self.now)]
        self.effects += fresh
        return fresh

    wants = hears

    def waits(self, seconds: float) -> list[Effect]:
        """Time passes."""
        self.now += timedelta(seconds=seconds)
        return self.hears(said.Tick())

    def connects(
        self, *contacts: sdk.Contact, count: int = 0, status: sdk.MyStatus | None = None, how: sdk.Connected | None = None
    ) -> list[Effect]:
        """The back connection stands."""
        welcome = sdk.Welcome("s", 1, 30.0, "replayed" if count else "fresh", count, contacts, status)
        return self.hears(how or sdk.Connected(), welcome)

    def disconnects(self, reason: str = "lost", retry_in_s: float | None = 4.0) -> list[Effect]:
        """It breaks."""
        return self.hears(sdk.Disconnected(reason, retry_in_s))

    def gets(self, id: str, text: str = "hi", *, sender: int = BOB, urgent: bool = False, reply: str | None = None) -> list[Effect]:
        """A message comes."""
        return self.hears(sdk.Message(1, id, sdk.Sender(sender, "bob", "Bob"), text, self.now, reply, urgent))

    def sees(self, uid: int, status: str, reason: str = "login") -> list[Effect]:
        """News of a contact's presence."""
        return self.hears(sdk.Presence((sdk.PresenceChange(uid, sdk.Status(status, self.now), reason, True),)))

    @property
    def screen(self) -> list[str]:
        """The popups that are open: a message's id, `summary of n`, `n is online`."""
        words = {"summary": lambda p: f"summary of {p.count}", "online": lambda p: f"{p.uid} is online", "message": lambda p: p.key[1]}
        return [words[popup.kind](popup) for popup in self.model.open_popups]


def shown(effects: list[Effect]) -> list[str]:
    """Ids of popups these effects open."""
    return [effect.popup.id for effect in effects if isinstance(effect, ShowPopup)]


def hidden(effects: list[Effect]) -> list[str]:
    """Ids of popups these effects close."""
    return [effect.popup_id for effect in effects if isinstance(effect, HidePopup)]


def rings(effects: list[Effect]) -> int:
    """How often these effects ring the bell."""
    return sum(isinstance(effect, Ring) for effect in effects)


def commands(effects: list[Effect]) -> list[Command]:
    """What these effects ask of the engine."""
    return [effect for effect in effects if isinstance(effect, Command)]
