"""The list of contacts: faces, names, presence, unread counts. Rule: only the visible rows are drawn, however many there are."""

import tkinter as tk
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from tkinter import ttk
from tkinter.font import Font

from clients.tk.model.values import STRANGERS, ContactRow, Group
from clients.tk.views import words
from clients.tk.views.context import ViewContext
from clients.tk.views.theme import WORDS

ROW_HEIGHT, HEAD_HEIGHT = 54, 30
WHEEL_ROWS = 1.5  # for each notch of the wheel
UNREAD_SHOWN = 99  # a larger number does not fit into the badge


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of the list: a group's head (`row` None) or a contact; `top` in pixels from the top of the list."""

    top: int
    height: int
    group: str
    size: int
    row: ContactRow | None


class ContactRows(ttk.Frame):
    """Draws `Group`s, and tells which contact was chosen or opened, or whose menu was asked for."""

    def __init__(self, master: tk.Misc, context: ViewContext, menu: Callable[[int, int, int], None]) -> None:
        """`menu(uid, x, y)`: called after the other button or the menu key, in screen pixels."""
        super().__init__(master)
        self._context, self._menu = context, menu
        self._theme = theme = context.theme
        self._lines: list[_Line] = []
        self._index: dict[int, int] = {}
        self._folded: set[str] = set()
        self._groups: Sequence[Group] = ()
        self._empty = ""
        self._top = 0
        self._height = 0
        self._pending: str | None = None
        self._hover: int | None = None
        self.chosen: int | None = None
        self.canvas = tk.Canvas(self, highlightthickness=0, borderwidth=0, takefocus=True, width=theme.px(200), height=theme.px(120))
        self._bar = ttk.Scrollbar(self, orient="vertical", command=self._scrolled)
        self.canvas.pack(side="left", fill="both", expand=True)
        for event, action in (
            ("<Configure>", lambda event: self._moved(0)),
            ("<<ThemeChanged>>", lambda event: self.later()),
            ("<FocusIn>", lambda event: self.later()),
            ("<FocusOut>", lambda event: self.later()),
            ("<Button-1>", self._pressed),
            ("<Double-Button-1>", self._double),
            ("<Button-3>", self._other_button),
            ("<Motion>", self._motion),
            ("<Leave>", self._motion),
            ("<MouseWheel>", lambda event: self._moved(-round(event.delta / 120 * WHEEL_ROWS * self._row_height))),
            ("<Button-4>", lambda event: self._moved(-round(WHEEL_ROWS * self._row_height))),
            ("<Button-5>", lambda event: self._moved(round(WHEEL_ROWS * self._row_height))),
            ("<Up>", lambda event: self.step(-1)),
            ("<Down>", lambda event: self.step(1)),
            ("<Prior>", lambda event: self.step(-self._page)),
            ("<Next>", lambda event: self.step(self._page)),
            ("<Home>", lambda event: self.step(-len(self._lines))),
            ("<End>", lambda event: self.step(len(self._lines))),
            ("<Return>", lambda event: self.open_chosen()),
            ("<KP_Enter>", lambda event: self.open_chosen()),
            ("<Menu>", lambda event: self.menu_of_chosen()),
            ("<Shift-F10>", lambda event: self.menu_of_chosen()),
        ):
            self.canvas.bind(event, action)

    # --- what is shown ---

    def show(self, groups: Sequence[Group], empty: str) -> None:
        """Draw these groups. `empty`: the text when there is nobody."""
        self._groups, self._empty = groups, empty
        self._lay_out()

    def update_row(self, row: ContactRow) -> None:
        """Draw a row that has changed and stays where it is."""
        at = self._index.get(row.uid)
        if at is not None:
            old = self._lines[at]
            self._lines[at] = _Line(old.top, old.height, old.group, old.size, row)
            self.later()

    def later(self) -> None:
        """Draw once when Tk has nothing more urgent to do, however often it is asked for."""
        if self._pending is None:
            self._pending = self.after_idle(self._draw)

    def _lay_out(self) -> None:
        lines, index, top = [], {}, 0
        head, height = self._theme.px(HEAD_HEIGHT), self._row_height
        for group in self._groups:
            if not group.rows:
                continue
            lines.append(_Line(top, head, group.status, len(group.rows), None))
            top += head
            if group.status in self._folded:
                continue
            for row in group.rows:
                index[row.uid] = len(lines)
                lines.append(_Line(top, height, group.status, 0, row))
                top += height
        self._lines, self._index, self._height = lines, index, top
        self._moved(0)

    # --- choosing ---

    def step(self, by: int) -> str:
        """Choose the contact so many rows further on, or the last one."""
        rows = [line.row.uid for line in self._lines if line.row is not None]
        if rows:
            at = rows.index(self.chosen) + by if self.chosen in rows else (0 if by > 0 else len(rows) - 1)
            self.choose(rows[min(max(at, 0), len(rows) - 1)])
        return "break"

    def choose(self, uid: int) -> None:
        """Choose this contact and make its row visible."""
        self.chosen = uid
        at = self._index.get(uid)
        if at is not None:
            line, seen = self._lines[at], self.canvas.winfo_height()
            head = self._theme.px(HEAD_HEIGHT) if at <= 1 else 0
            self._top = max(min(self._top, line.top - head), line.top + line.height - seen)
        self._moved(0)

    def chosen_row(self) -> ContactRow | None:
        """The chosen contact, or the only one in the list."""
        rows = [line.row for line in self._lines if line.row is not None]
        if self.chosen in self._index:
            return self._lines[self._index[self.chosen]].row
        return rows[0] if len(rows) == 1 else None

    def open_chosen(self) -> str:
        """Open the chosen contact, after Enter."""
        row = self.chosen_row()
        if row is not None:
            self._context.write_to(row.uid)
        return "break"

    def menu_of_chosen(self) -> str:
        """Open the menu beside the chosen row, after the menu key."""
        row = self.chosen_row()
        if row is not None:
            top = self._lines[self._index[row.uid]].top - self._top
            self._menu(row.uid, self.canvas.winfo_rootx() + self._theme.px(60), self.canvas.winfo_rooty() + top + self._theme.px(30))
        return "break"

    # --- the mouse ---

    def _at(self, y: int) -> _Line | None:
        spot = y + self._top
        return next((line for line in self._lines if line.top <= spot < line.top + line.height), None)

    def _pressed(self, event: "tk.Event[tk.Misc]") -> None:
        self.canvas.focus_set()
        line = self._at(event.y)
        if line is None:
            return
        if line.row is None:
            self._folded ^= {line.group}
            self._lay_out()
        else:
            self.choose(line.row.uid)

    def _double(self, event: "tk.Event[tk.Misc]") -> None:
        line = self._at(event.y)
        if line is not None and line.row is not None:
            self._context.write_to(line.row.uid)

    def _other_button(self, event: "tk.Event[tk.Misc]") -> None:
        line = self._at(event.y)
        if line is not None and line.row is not None:
            self.choose(line.row.uid)
            self._menu(line.row.uid, event.x_root, event.y_root)

    def _motion(self, event: "tk.Event[tk.Misc]") -> None:
        line = self._at(event.y) if str(event.type) == "6" else None
        hover = line.row.uid if line is not None and line.row is not None else None
        if hover != self._hover:
            self._hover = hover
            self.later()

    # --- drawing ---

    @property
    def _row_height(self) -> int:
        return self._theme.px(ROW_HEIGHT)

    @property
    def _page(self) -> int:
        return max(1, self.canvas.winfo_height() // self._row_height - 1)

    def _scrolled(self, how: str, amount: str, unit: str = "") -> None:
        if how == "moveto":
            self._moved(round(float(amount) * self._height) - self._top)
        else:
            self._moved(int(amount) * (self._row_height if unit == "units" else self.canvas.winfo_height()))

    def _moved(self, by: int) -> None:
        seen = max(1, self.canvas.winfo_height())
        self._top = max(0, min(self._top + by, self._height - seen))
        if self._height > seen > 1:
            self._bar.set(self._top / self._height, (self._top + seen) / self._height)
            if not self._bar.winfo_ismapped():
                self._bar.pack(side="right", fill="y", before=self.canvas)
        elif self._bar.winfo_ismapped():
            self._bar.pack_forget()
        self.later()

    def _draw(self) -> None:
        self._pending = None
        canvas, theme, colours = self.canvas, self._theme, self._theme.palette
        canvas.delete("all")
        canvas.configure(background=colours.page)
        width, seen = canvas.winfo_width(), canvas.winfo_height()
        if not self._lines and self._empty:
            text_width = max(theme.px(80), width - theme.px(40))
            canvas.create_text(
                width // 2,
                theme.px(48),
                text=self._empty,
                fill=colours.quiet,
                font=theme.body,
                width=text_width,
                anchor="n",
                justify="center",
            )
        now = self._context.now()
        for line in self._lines:
            y = line.top - self._top
            if y + line.height <= 0:
                continue
            if y >= seen:
                break
            if line.row is None:
                self._draw_head(line, y)
            else:
                self._draw_row(line.row, y, width, now)

    def _draw_head(self, line: _Line, y: int) -> None:
        theme = self._theme
        title = "not on your list" if line.group == STRANGERS else WORDS.get(line.group, line.group)
        sign = "▸" if line.group in self._folded else "▾"
        middle = y + line.height - theme.px(13)
        self.canvas.create_text(theme.px(14), middle, text=sign, anchor="w", fill=theme.palette.quiet, font=theme.small)
        self.canvas.create_text(
            theme.px(30), middle, text=f"{title.capitalize()} ({line.size})", anchor="w", fill=theme.palette.quiet, font=theme.small
        )

    def _draw_row(self, row: ContactRow, y: int, width: int, now: datetime) -> None:
        canvas, theme, colours = self.canvas, self._theme, self._theme.palette
        height, pad = self._row_height, theme.px(6)
        behind = colours.page
        if row.uid in (self.chosen, self._hover):
            behind = colours.chosen if row.uid == self.chosen else colours.hover
            edge = colours.accent if row.uid == self.chosen and self._has_keyboard else behind
            canvas.create_rectangle(pad, y + 1, width - pad, y + height - 2, fill=behind, outline=edge)
        middle = y + height // 2
        face = theme.px(34)
        canvas.create_image(face, middle, image=theme.face(row.uid))
        canvas.create_text(face, middle, text=words.initials(row.title), fill="#ffffff", font=theme.strong)
        canvas.create_image(face + theme.px(13), middle + theme.px(13), image=theme.mark(row.status, around=behind))
        left, right = theme.px(62), width - theme.px(16)
        if row.unread:
            shown = str(row.unread) if row.unread <= UNREAD_SHOWN else f"{UNREAD_SHOWN}+"
            badge = theme.badge(len(shown))
            canvas.create_image(right, middle, image=badge, anchor="e")
            canvas.create_text(right - badge.width() / 2, middle, text=shown, fill=colours.on_accent, font=theme.small)
            right -= badge.width() + theme.px(8)
        elif row.notify:
            canvas.create_image(right, middle, image=theme.bell(), anchor="e")
            right -= theme.px(22)
        self._line_of_text(row.title, left, middle - theme.px(9), right - left, colours.text, theme.strong if row.unread else theme.body)
        second = words.presence(row, now) + (" · saving…" if row.saving else "")
        self._line_of_text(second, left, middle + theme.px(10), right - left, colours.quiet, theme.small)

    def _line_of_text(self, text: str, x: int, y: int, room: int, colour: str, font: Font) -> None:
        self.canvas.create_text(x, y, text=self._theme.fit(text, font, room), anchor="w", fill=colour, font=font)

    @property
    def _has_keyboard(self) -> bool:
        return self.focus_displayof() is self.canvas
