"""Opens every window, and draws each effect in the right one. Rule: no other module knows all windows; nothing here ever waits.

The bridge rings when something has come. Then a slice of it is folded and drawn, and the next slice waits until Tk has drawn and read
the keyboard, so that even a thousand messages never stop the windows.
"""

import contextlib
import tkinter as tk
from collections.abc import Callable, Iterable

import structlog

from clients.tk.engine.bridge import TICK_S, Bridge, now_utc
from clients.tk.model import effects
from clients.tk.model.inputs import Intent
from clients.tk.views.add_contact import AddContactWindow
from clients.tk.views.contact_card import ContactCard
from clients.tk.views.contact_window import ContactView
from clients.tk.views.context import ViewContext
from clients.tk.views.conversation import ConversationWindow
from clients.tk.views.inbox import InboxWindow
from clients.tk.views.keys_window import KeysWindow
from clients.tk.views.popup_stack import PopupStack
from clients.tk.views.remembered import Remembered
from clients.tk.views.sign_in import SignInView
from clients.tk.views.theme import Mode, Theme
from clients.tk.views.window import Window

BETWEEN_SLICES_MS = 10  # Tk draws and reads the keyboard in this time
USUAL, LEAST = (340, 600), (230, 320)  # of the main window, at 96 dots an inch

log = structlog.get_logger("flash.tk")


class WindowManager:
    """Draws effects, opens windows, and hands on what the person wants."""

    def __init__(self, root: tk.Tk, bridge: Bridge, theme: Theme, remembered: Remembered, desktop: Mode, ended: Callable[[], None]) -> None:
        """`desktop`: whether the desktop is light or dark. `ended`: called when the person has left."""
        self._desktop = desktop
        self._root, self._bridge, self._theme, self._remembered, self._ended = root, bridge, theme, remembered, ended
        self._model = bridge.model
        self._windows: dict[str, Window] = {}
        self._pumping = False
        self._drawing: str | None = None
        self._wanted: dict[Callable[[], None], None] = {}
        self._context = ViewContext(self._model, theme, remembered, self.do, self.write_to, now_utc)
        px = theme.px
        root.title("Flash")
        root.minsize(px(LEAST[0]), px(LEAST[1]))
        root.geometry(remembered.geometry("main", (root.winfo_screenwidth(), root.winfo_screenheight()), (px(USUAL[0]), px(USUAL[1]))))
        root.iconphoto(True, theme.sign(48), theme.sign(24))
        root.protocol("WM_DELETE_WINDOW", self.quit)
        self.popups = PopupStack(root, self._context, inbox=self.inbox, shown=self._popup_shown)
        self.sign_in = SignInView(root, self._context)
        self.contacts = ContactView(root, self._context, self)
        self.popups.warm_up()
        self._account()
        self._listen()
        self._tick()

    # --- from the person to the model ---

    def do(self, intent: Intent) -> None:
        """Fold an intent of the person, and draw its effects."""
        self.draw(self._bridge.do(intent))

    # --- from the model to the windows ---

    def draw(self, wanted: Iterable[effects.ViewEffect]) -> None:
        """Draw popups at once, and the other effects once per turn."""
        for effect in wanted:
            match effect:
                case effects.ShowPopup(popup):
                    self.popups.show(popup)
                case effects.UpdatePopup(popup):
                    self.popups.update(popup)
                case effects.HidePopup(popup_id):
                    self.popups.hide(popup_id)
                case effects.Ring():
                    self._root.bell()
                case effects.Say(what):
                    self.contacts.say(what)
                case effects.AccountChanged():
                    self._account()
                case effects.ContactChanged(uid):
                    self._contact(uid)
                case effects.EntryAdded(uid, entry):
                    self._soon(self.contacts.draw_inbox, self._inbox_again)
                    if (window := self._conversation(uid)) is not None:
                        window.transcript.add(entry)
                        window.looked_at()
                case effects.EntryChanged(uid, entry):
                    self._soon(self.contacts.draw_inbox, self._inbox_again)
                    if (window := self._conversation(uid)) is not None:
                        window.transcript.change(entry)
                case effects.ConversationChanged(uid):
                    if (window := self._conversation(uid)) is not None:
                        self._soon(window.draw_all)
                case _:
                    self._whole(effect)

    def _whole(self, effect: effects.ViewEffect) -> None:
        """Draw effects that ask for a part of the model to be drawn again."""
        contacts = self.contacts
        match effect:
            case effects.ContactsChanged():
                self._soon(contacts.draw_contacts, self._heads, self._directory)
            case effects.ConnectionChanged():
                self._soon(contacts.line.draw, contacts.status.draw)
            case effects.StatusChanged():
                self._soon(contacts.status.draw)
            case effects.RemovalsChanged():
                self._soon(contacts.draw_removals)
            case effects.ReplayChanged():
                self._soon(contacts.draw_replay, self._replay)
            case effects.DirectoryChanged():
                self._soon(self._directory)
            case effects.HistoryChanged():
                self._soon(self._inbox_again)
            case _:
                log.error("tk.unknown_effect", kind=type(effect).__name__)

    def _contact(self, uid: int) -> None:
        self.contacts.draw_contact(uid)
        self.popups.redraw_of(uid)
        if (window := self._conversation(uid)) is not None:
            window.draw_head()

    def _heads(self) -> None:
        self.popups.redraw_of(None)
        for window in self._windows.values():
            if isinstance(window, ConversationWindow):
                window.draw_head()

    def _directory(self) -> None:
        if isinstance(window := self._windows.get("add"), AddContactWindow):
            window.draw()

    def _inbox_again(self) -> None:
        if isinstance(window := self._windows.get("inbox"), InboxWindow):
            window.draw()

    def _replay(self) -> None:
        if isinstance(window := self._windows.get("inbox"), InboxWindow):
            window.draw_replay()

    def _account(self) -> None:
        """Somebody has signed in or out, or the sign-in shows another sentence."""
        if self._model.account is None:
            self.popups.clear()
            for window in list(self._windows.values()):
                window.close()
            self.sign_in.draw()
            if not self.sign_in.winfo_manager():
                self.contacts.pack_forget()
                self.sign_in.pack(fill="both", expand=True)
                self.sign_in.take_keyboard()
            self._root.title("Flash")
        else:
            self.sign_in.wipe()
            self.contacts.draw()
            if not self.contacts.winfo_manager():
                self.sign_in.pack_forget()
                self.contacts.pack(fill="both", expand=True)
                self.contacts.take_keyboard()
            self._root.title(f"Flash - {self._model.account.handle}")

    def _popup_shown(self, popup_id: str) -> None:
        age_ms = self._bridge.age_ms(popup_id)
        if age_ms is not None:
            log.debug("tk.popup_mapped", after_ms=round(age_ms, 1))

    # --- windows a person opens ---

    def write_to(self, uid: int) -> None:
        """Open the conversation with someone, with the keyboard in its field."""
        self._show(f"conversation-{uid}", lambda: ConversationWindow(self._root, self._context, uid))

    def inbox(self) -> None:
        """Open the inbox."""
        self._show("inbox", lambda: InboxWindow(self._root, self._context))

    def add_contact(self) -> None:
        """Open the search in the directory."""
        self._show("add", lambda: AddContactWindow(self._root, self._context))

    def card(self, uid: int) -> None:
        """Open the card with alias and notification of a contact."""
        if isinstance(window := self._windows.get("card"), ContactCard) and window.uid != uid:
            window.close()
        self._show("card", lambda: ContactCard(self._root, self._context, uid))

    def keys(self) -> None:
        """Open the list of keys."""
        self._show("keys", lambda: KeysWindow(self._root, self._context))

    def newest_popup(self) -> None:
        """Give the keyboard to the newest popup, because the person asked for it."""
        if not self.popups.take_keyboard():
            self.contacts.say("There is no popup")

    def theme(self, theme: str) -> None:
        """Switch to `light`, `dark`, or `system`."""
        self._remembered.choose_theme(theme)
        self._theme.use(chosen_mode(theme, self._desktop))

    def quit(self) -> None:
        """Remember where the windows stand, and leave."""
        for window in list(self._windows.values()):
            window.close()
        self._remembered.place("main", self._root.geometry())
        self._ended()

    def _show(self, name: str, make: Callable[[], Window]) -> None:
        window = self._windows.get(name)
        if window is None:
            window = self._windows[name] = make()
            window.bind("<Destroy>", lambda event: self._gone(name, event.widget), add="+")
        window.open()

    def _gone(self, name: str, widget: tk.Misc) -> None:
        if self._windows.get(name) is widget:
            del self._windows[name]

    def _conversation(self, uid: int) -> ConversationWindow | None:
        window = self._windows.get(f"conversation-{uid}")
        return window if isinstance(window, ConversationWindow) else None

    # --- the turns ---

    def _soon(self, *drawings: Callable[[], None]) -> None:
        """Draw once Tk has nothing more urgent to do. Any number of requests for one drawing is drawn once."""
        self._wanted.update(dict.fromkeys(drawings))
        if self._drawing is None:
            self._drawing = self._root.after_idle(self._draw_wanted)

    def _draw_wanted(self) -> None:
        self._drawing = None
        wanted, self._wanted = self._wanted, {}
        for drawing in wanted:
            with contextlib.suppress(tk.TclError):  # the window was closed meanwhile
                drawing()

    def _listen(self) -> None:
        try:
            self._root.tk.createfilehandler(self._bridge.fileno(), tk.READABLE, lambda *why: self._rung())
        except (AttributeError, tk.TclError):
            log.info("tk.no_file_handler")  # on Windows, where the tick finds what has come

    def _rung(self) -> None:
        if not self._pumping:
            self._pump()

    def _pump(self) -> None:
        """Fold and draw one slice. While more waits, the bell is ignored, because it would ring before Tk has drawn."""
        self.draw(self._bridge.drain())
        more = self._bridge.waiting > 0
        if more and not self._pumping:
            self._root.tk.deletefilehandler(self._bridge.fileno())
        elif not more and self._pumping:
            self._listen()
        self._pumping = more
        if more:
            self._root.after(BETWEEN_SLICES_MS, self._pump)

    def _tick(self) -> None:
        self._rung()
        self._root.after(round(TICK_S * 1000), self._tick)


def chosen_mode(theme: str, desktop: Mode) -> Mode:
    """Light or dark, by the choice of the person and the looks of the desktop."""
    return "dark" if theme == "dark" else "light" if theme == "light" else desktop
