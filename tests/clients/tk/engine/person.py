"""A person at a popup client without windows: the real bridge, model and engine. Rule: what the views would do is done here, no more."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from clients.tk.disk.paths import Paths
from clients.tk.engine.bridge import Bridge
from clients.tk.engine.engine import Engine
from clients.tk.model.contacts import UNDO_S
from clients.tk.model.effects import HidePopup, ShowPopup, ViewEffect
from clients.tk.model.inputs import AddContact, Intent, MarkRead, PopupMapped, SearchDirectory, SignIn, Write
from clients.tk.model.model import Model, new_id
from clients.tk.model.values import Sent, SentState
from flash_sdk import FlashClient, Pace

PASSWORD = "correct horse"
SOON_S = 15.0
BRISK = Pace(first_s=0.05, longest_s=0.5)  # a test does not wait half a minute for a server that is back

T = TypeVar("T")


def brisk_client(server: str) -> FlashClient:
    return FlashClient(server, pace=BRISK)


class Person:
    """One client. Use as a context manager; `folder` is the machine's disk, and may be used again by the next one."""

    def __init__(
        self,
        folder: Path,
        server: str,
        handle: str | None = None,
        *,
        direct: bool = False,
        connect: Callable[[str], FlashClient] | None = None,
        undo_s: float = UNDO_S,
    ) -> None:
        self.server = server
        self.model = Model(undo_s)
        self.bridge = Bridge(self.model)
        self.effects: list[ViewEffect] = []
        paths = Paths(folder / "config", folder / "data")
        self._engine = Engine(
            self.bridge, paths, server=server, handle=handle, use_keyring=False, direct=direct, connect=connect or brisk_client
        )

    def __enter__(self) -> Self:
        self._engine.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._engine.stop()
        self.bridge.close()

    def do(self, intent: Intent) -> None:
        """Want something."""
        self._take(self.bridge.do(intent))

    def see(self, check: Callable[[], T], what: str = "") -> T:
        """Look at the windows until `check` gives something true."""
        deadline = time.monotonic() + SOON_S
        nobody = threading.Event()
        while True:
            self._take(self.bridge.drain())
            if value := check():
                return value
            assert time.monotonic() < deadline, f"not within {SOON_S} s: {what or check}; the line says {self.model.connection}"
            nobody.wait(0.01)

    def _take(self, effects: list[ViewEffect]) -> None:
        self.effects += effects
        for effect in effects:
            if isinstance(effect, ShowPopup):
                self._take(self.bridge.do(PopupMapped(effect.popup.id)))

    # --- stories ---

    def signs_in(self, handle: str, *, register: bool = True) -> None:
        """Sign in and be connected."""
        self.see(lambda: not self.model.sign_in.busy and self.model.sign_in.server, "the engine is up")
        self.do(SignIn(self.server, handle, PASSWORD, register, handle.title()))
        self.is_connected()

    def is_connected(self) -> None:
        """Wait for it."""
        self.see(lambda: self.model.connection.state == "connected", "connected")

    @property
    def uid(self) -> int:
        """Who this is."""
        assert self.model.account is not None
        return self.model.account.uid

    def adds(self, handle: str) -> int:
        """Find someone and put them on the list; gives their uid."""
        self.do(SearchDirectory(handle))
        found = self.see(lambda: next((each for each in self.model.directory.found if each.handle == handle), None), f"{handle} found")
        self.do(AddContact(found.uid, found.handle, found.name))
        self.see(lambda: not self.model.row(found.uid).saving, f"{handle} added")
        return found.uid

    def writes(self, uid: int, text: str, **more: object) -> str:
        """Send a message; gives its id."""
        id = new_id()
        self.do(Write(id, uid, text, **more))  # type: ignore[arg-type]
        return id

    def state(self, id: str) -> SentState:
        """How far a message has come; `SAVING` when this client does not know of it (yet)."""
        message = self.model.messages.sent(id)
        return SentState.SAVING if message is None else message.state

    def reads(self, uid: int) -> list[str]:
        """Open the conversation; gives what they wrote."""
        self.do(MarkRead(uid))
        return [entry.text for entry in self.model.conversation(uid) if not isinstance(entry, Sent)]

    @property
    def shown(self) -> list[str]:
        """Ids of all popups that were ever opened here."""
        return [effect.popup.id for effect in self.effects if isinstance(effect, ShowPopup)]

    @property
    def hidden(self) -> list[str]:
        """Ids of all popups that were closed here."""
        return [effect.popup_id for effect in self.effects if isinstance(effect, HidePopup)]
