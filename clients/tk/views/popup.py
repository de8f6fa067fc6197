"""One popup. Rule: it never takes the keyboard by itself, only when a person clicks Reply or asks for it in the contact window.

It is an override-redirect window: no window manager focuses such a window, and Tk itself refuses to set the X focus to it
(tkUnixFocus.c). To give it the keyboard on request, `take_keyboard` removes that mark for a moment. Tk's own focus inside this program
is kept away from it too, because a click on Done must not take the keyboard from the window in which the person writes.
"""

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

from clients.tk.model.inputs import CloseMessage, ClosePopup, Write
from clients.tk.model.model import new_id
from clients.tk.model.values import Popup, Received
from clients.tk.views import words
from clients.tk.views.compose import Compose
from clients.tk.views.context import ViewContext
from clients.tk.views.linked_text import LinkedText
from clients.tk.views.theme import WORDS
from clients.tk.views.x_keyboard import NOBODY, Keyboard

WIDTH = 360  # at 96 dots an inch: lines of some 50 letters are easy to read
TALLEST_LINES = 8  # of text; a longer text scrolls, so that one message never fills the screen
AROUND = 35  # of the width: padding, strip and edge
ONLINE_MS = 8000  # how long "is online" stays
LIFT_AGAIN_MS = 1000  # between two raisings of a popup that something partly covers, because two programs must not race


class PopupWindow(tk.Toplevel):
    """Draws one `Popup`. `moved`: called when its height has changed. `inbox`: opens the inbox. `mapped`: called when it is shown."""

    def __init__(
        self,
        master: tk.Misc,
        context: ViewContext,
        popup: Popup,
        keyboard: Keyboard,
        *,
        moved: Callable[[], None],
        mapped: Callable[["PopupWindow"], None],
        inbox: Callable[[], None],
    ) -> None:
        super().__init__(master)
        self.withdraw()
        self.overrideredirect(True)
        self.popup, self._context, self._moved, self._inbox = popup, context, moved, inbox
        self._lifted = False
        self._keyboard, self._before = keyboard, NOBODY
        self._reply: Compose | None = None
        px = context.theme.px
        if self.tk.call("tk", "windowingsystem") == "x11":
            self.attributes("-type", "notification")  # for compositors: shadows and animations as for any notification
        else:
            self.attributes("-topmost", True)
        self._edge = tk.Frame(self, borderwidth=0)
        self._edge.pack(fill="both", expand=True)
        self._strip = tk.Frame(self._edge, width=px(5))
        self._strip.pack(side="left", fill="y", padx=(1, 0), pady=1)
        self.body = ttk.Frame(self._edge, style="Pop.TFrame", padding=(px(14), px(12), px(14), px(12)))
        self.body.pack(side="left", fill="both", expand=True, padx=(0, 1), pady=1)
        self._build()
        self._colour()
        self.bind("<<ThemeChanged>>", lambda event: self._colour() if event.widget is self else None)
        self.bind("<Map>", lambda event: mapped(self) if event.widget is self else None)
        self.bind("<Visibility>", self._covered)
        self.bind("<Escape>", lambda event: self._escape())
        for key, action in (("d", self.done), ("r", self.reply), ("l", self.later)):
            self.bind(f"<Alt-{key}>", lambda event, action=action: self._by_key(action))  # type: ignore[misc]
        if popup.kind == "online":
            self.after(ONLINE_MS, self.later)

    # --- what the person does ---

    def done(self) -> None:
        """Done: the person has dealt with the message."""
        if self.popup.key is not None:
            self._context.do(CloseMessage(self.popup.key))
        else:
            self.later()

    def later(self) -> None:
        """Later: the popup goes, and its messages wait in the inbox. An urgent popup stays."""
        if not self.popup.urgent:
            self._context.do(ClosePopup(self.popup.id))

    def reply(self) -> None:
        """Open the field for a reply and give it the keyboard, because a person asked for it."""
        if self.popup.kind == "summary":
            self._open_inbox()
        elif self.popup.kind == "online":
            self._write()
        elif self._reply is None:
            self._buttons.pack_forget()
            self._reply = Compose(self.body, self._context.theme, self._send, lines=3, card=True, urgent=False)
            self._reply.pack(fill="x", pady=(self._context.theme.px(10), 0))
            self._reply.text.bind("<Button-1>", lambda event: self.take_keyboard(), add="+")
            self.update_idletasks()
            self._moved()
            self.take_keyboard()
        else:
            self.take_keyboard()

    def write(self, text: str) -> None:
        """Put text into the open reply."""
        if self._reply is not None:
            self._reply.text.insert("insert", text)

    def take_keyboard(self) -> None:
        """Give the popup the keyboard, because a person asked for it by a click or a key. It gets the keyboard in no other way."""
        if not self._has_keyboard():
            self._before = self._keyboard.owner()
        target = self._reply.text if self._reply is not None else self._first
        self.lift()
        self.overrideredirect(False)
        target.focus_force()
        self.update_idletasks()
        self.overrideredirect(True)

    def _has_keyboard(self, button: str = "") -> bool:
        """Whether a person gave the popup the keyboard, because only then its buttons may have it."""
        focus = self.focus_displayof()
        return focus is not None and focus.winfo_toplevel() is self

    def _press(self, text: LinkedText, event: "tk.Event[tk.Misc]") -> str:
        """Do what Tk does for a click into a text (select from there), but leave the keyboard where it was."""
        before = self.focus_displayof()
        self.tk.call("tk::TextButton1", str(text), event.x, event.y)
        text.tag_remove("sel", "1.0", "end")
        if before is not None:
            before.focus_set()
        return "break"

    def destroy(self) -> None:
        """Close the popup. If it had the keyboard, the window that had it before gets it back."""
        if self.winfo_exists() and self._has_keyboard():
            self._keyboard.give(self._before)
        super().destroy()

    # --- how it looks ---

    def _build(self) -> None:
        popup, theme = self.popup, self._context.theme
        model, px = self._context.model, theme.px
        message = model.message(popup.key) if popup.key is not None else None
        self._message = message
        head = ttk.Frame(self.body, style="Pop.TFrame")
        head.pack(fill="x")
        self._face = tk.Canvas(head, width=px(42), height=px(40), highlightthickness=0, borderwidth=0)
        self._face.pack(side="left", padx=(0, px(10)))
        lines = ttk.Frame(head, style="Pop.TFrame")
        lines.pack(side="left", fill="x", expand=True)
        self._who = ttk.Label(lines, style="Pop.Strong.TLabel")
        self._who.pack(anchor="w")
        self._second = ttk.Label(lines, style="Pop.Quiet.TLabel")
        self._second.pack(anchor="w")
        if message is not None:
            self._build_message(message)
        self._buttons = ttk.Frame(self.body, style="Pop.TFrame")
        self._buttons.pack(fill="x", pady=(px(12), 0))
        if popup.kind == "message":
            self._first = self._button("Done", self.done, "Pop.Accent.TButton")
            self._button("Reply", self.reply)
            if not popup.urgent:
                self._button("Later", self.later, "Pop.Toolbutton", side="left")
        elif popup.kind == "summary":
            self._first = self._button("Open the inbox", self._open_inbox, "Pop.Accent.TButton", key=5)
            self._button("Later", self.later, "Pop.Toolbutton", side="left")
        else:
            self._first = self._button("Write", self._write, "Pop.Accent.TButton")
            self._button("Close", self.later, "Pop.Toolbutton", side="left")
        self.draw()

    def _build_message(self, message: Received) -> None:
        theme = self._context.theme
        answered = self._context.model.answered(message)
        if answered is not None:
            self._quote = ttk.Label(self.body, style="Pop.Quiet.TLabel", text=f"↳ {words.one_line(answered.text, 52)}")
            self._quote.pack(fill="x", pady=(theme.px(8), 0))
        frame = ttk.Frame(self.body, style="Pop.TFrame")
        frame.pack(fill="x", pady=(theme.px(9), 0))
        text = LinkedText(frame, theme, tall=TALLEST_LINES, card=True)
        text.say(message.text)
        if text.fit_height(theme.px(WIDTH - AROUND)):
            bar = ttk.Scrollbar(frame, orient="vertical", command=text.yview)
            text.configure(yscrollcommand=bar.set)
            bar.pack(side="right", fill="y")
        text.bind("<Button-1>", lambda event: self._press(text, event))
        text.pack(side="left", fill="x", expand=True)
        text.bind("<Configure>", lambda event: self._moved(), add="+")

    def _button(self, said: str, action: Callable[[], None], style: str = "Pop.TButton", side: str = "right", key: int = 0) -> ttk.Button:
        button = ttk.Button(self._buttons, text=said, command=action, style=style, underline=key, takefocus=self._has_keyboard)
        button.bind("<Return>", lambda event: self._by_key(action))
        button.pack(side=side, padx=(self._context.theme.px(8), 0) if side == "right" else 0)  # type: ignore[arg-type]
        return button

    def draw(self, popup: Popup | None = None) -> None:
        """Draw what may change: the count, and the sender's presence."""
        self.popup = popup or self.popup
        model, now = self._context.model, self._context.now()
        if self.popup.kind == "summary":
            self._who.configure(text=f"{self.popup.count} messages are waiting")
            self._second.configure(text="Read them when you have time")
            self.title(f"Flash: {self.popup.count} messages")
        else:
            uid = self.popup.uid if self._message is None else self._message.uid
            row = model.row(uid or 0)
            sent_at = f" · {words.clock(self._message.at, now)}" if self._message is not None else ""
            urgent = "Urgent · " if self.popup.urgent else ""
            self._who.configure(text=row.title)
            said = words.presence(row, now) if self.popup.kind == "online" else WORDS.get(row.status, row.status)
            self._second.configure(text=f"{urgent}{said}{sent_at}")
            self.title(f"Flash: {row.title}")
        self._draw_face()

    def _draw_face(self) -> None:
        theme, face = self._context.theme, self._face
        face.delete("all")
        face.configure(background=theme.palette.card)
        centre = theme.px(19)
        if self.popup.kind == "summary":
            face.create_image(centre, centre, image=theme.sign(36))
            return
        uid = self.popup.uid if self._message is None else self._message.uid
        row = self._context.model.row(uid or 0)
        face.create_image(centre, centre, image=theme.face(row.uid))
        face.create_text(centre, centre, text=words.initials(row.title), fill="#ffffff", font=theme.strong)
        face.create_image(centre + theme.px(13), centre + theme.px(13), image=theme.mark(row.status, around=theme.palette.card))

    def _colour(self) -> None:
        colours = self._context.theme.palette
        self.configure(background=colours.line)
        self._edge.configure(background=colours.bad if self.popup.urgent else colours.line)
        self._strip.configure(background=colours.bad if self.popup.urgent else colours.accent)
        self._draw_face()

    # --- small things ---

    def _send(self, text: str, urgent: bool) -> None:
        if self._message is not None:
            self._context.do(Write(new_id(), self._message.uid, text, urgent, answers=self._message.key))

    def _write(self) -> None:
        uid = self.popup.uid
        self.later()
        if uid is not None:
            self._context.write_to(uid)

    def _open_inbox(self) -> None:
        self.later()
        self._inbox()

    def _by_key(self, action: Callable[[], None]) -> str:
        action()
        return "break"

    def _escape(self) -> str:
        if self._reply is not None and not self._reply.written:
            self._reply.destroy()
            self._reply = None
            self._buttons.pack(fill="x", pady=(self._context.theme.px(12), 0))
            self._first.focus_set()
            self.update_idletasks()
            self._moved()
        elif self._reply is None:
            self.later()
        return "break"

    def _covered(self, event: "tk.Event[tk.Misc]") -> None:
        """Raise the popup when something partly covers it. Something that covers all of it (a screen lock, a film) may stay."""
        if event.widget is self and str(event.state) == "VisibilityPartiallyObscured" and not self._lifted:
            self._lifted = True
            self.lift()
            self.after(LIFT_AGAIN_MS, self._may_lift)

    def _may_lift(self) -> None:
        self._lifted = False
