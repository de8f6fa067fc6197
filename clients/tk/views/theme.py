"""Colours, fonts, sizes and small pictures, light and dark. Rule: no view names a colour, a font or a pixel itself.

The widgets come from sv-ttk. Its fonts have sizes in pixels, so the system's fonts replace them, because those follow the screen's scaling.
"""

import tkinter as tk
from collections.abc import Sequence
from tkinter import font as tkfont
from tkinter import ttk
from typing import Literal

import sv_ttk

from clients.tk.views import shapes

Mode = Literal["light", "dark"]

USUAL_SCALING = 96 / 72  # Tk's pixels per point on a screen of 96 dots an inch, for which the sizes in the views are meant
CLOSED = "unknown"  # the picture for a presence that this version does not know


class Palette:
    """The colours of one mode, each `#rrggbb`: each line gives the light one and the dark one."""

    def __init__(self, mode: Mode) -> None:
        def of(light: str, dark: str) -> str:
            return dark if mode == "dark" else light

        self.page = of("#fafafa", "#1c1c1c")  # the background
        self.card = of("#ffffff", "#282828")  # the background of popups and menus
        self.field = of("#fdfdfd", "#2a2a2a")  # inside a field
        self.line = of("#dcdfe4", "#3d3f42")  # borders
        self.text = of("#1b1d20", "#f2f3f5")
        self.quiet = of("#5c636d", "#a6adb8")  # second lines; the contrast is at least 4.5:1 on page and card
        self.accent = of("#1f5fd6", "#4a86f0")
        self.on_accent = "#ffffff"
        self.chosen = of("#dfe9fb", "#2a3d5e")  # the selected row
        self.hover = of("#eef2f8", "#2b2d31")
        self.link = of("#1a56c4", "#7db3ff")
        self.bad = of("#c42b1c", "#ff7b6e")
        self.good = of("#107c41", "#52c486")
        self.warn = of("#9a6000", "#f0b24a")
        light_faces = ("#3b6fd4", "#8557c9", "#b8448f", "#c2503a", "#9a6a14", "#3f7f3a", "#18807c", "#5b6577")
        dark_faces = ("#3f6fc9", "#8257c0", "#ab4589", "#b5533f", "#8f6718", "#44803f", "#1f7d79", "#5f6878")
        self.faces = dark_faces if mode == "dark" else light_faces  # behind white initials


MARKS: dict[str, tuple[shapes.Cover, str]] = {
    "online": (shapes.disc, "#23a55a"),
    "away": (shapes.moon, "#e8a317"),
    "dnd": (shapes.barred, "#dc3b40"),
    "offline": (shapes.ring, "#868d98"),
    "unknown": (shapes.dotted, "#868d98"),
}
WORDS = {"online": "online", "away": "away", "dnd": "do not disturb", "offline": "offline", "unknown": "unknown"}


class Theme:
    """One per program. Views take sizes, fonts and pictures from it, and draw again on `<<ThemeChanged>>`."""

    def __init__(self, root: tk.Tk, mode: Mode) -> None:
        self._root = root
        self._pictures: dict[tuple[object, ...], tk.PhotoImage] = {}
        self._scale = max(1.0, float(root.tk.call("tk", "scaling")) / USUAL_SCALING)
        system = tkfont.nametofont("TkDefaultFont", root).actual()
        size = abs(int(system["size"])) or 10
        family = str(system["family"])
        self.body = self._font("FlashBody", family, size)
        self.strong = self._font("FlashStrong", family, size, bold=True)
        self.small = self._font("FlashSmall", family, max(8, size - 1))
        self.title = self._font("FlashTitle", family, size + 3, bold=True)
        self.mode: Mode = mode
        self.use(mode)

    def use(self, mode: Mode) -> None:
        """Switch everything to light or dark."""
        self.mode = mode
        self.palette = Palette(mode)
        self._pictures.clear()
        sv_ttk.set_theme(mode, self._root)
        # sv-ttk would colour every widget there is with tk_setPalette, even those whose styles have colours of their own.
        self._root.tk.eval("proc configure_colors {} {}; proc config_menus {w} {}")
        for theirs, ours in (("Caption", self.small), ("Body", self.body), ("BodyStrong", self.strong), ("BodyLarge", self.title)):
            _copy(ours, tkfont.nametofont(f"SunValley{theirs}Font", self._root))
        style = ttk.Style(self._root)
        colours = self.palette
        style.configure(".", background=colours.page, foreground=colours.text, troughcolor=colours.page, fieldbackground=colours.page)
        style.configure(".", insertcolor=colours.text, insertwidth=1, selectbackground=colours.accent, selectforeground=colours.on_accent)
        style.configure(".", focuscolor=colours.accent, borderwidth=0, relief="flat", font=self.body)
        style.map(".", foreground=[("disabled", colours.quiet)])
        for name in ("TFrame", "TLabel", "TCheckbutton", "TRadiobutton"):
            style.configure(name, background=colours.page)
            style.configure(f"Pop.{name}", background=colours.card)
        style.configure("Quiet.TLabel", foreground=colours.quiet, font=self.small)
        style.configure("Pop.Quiet.TLabel", background=colours.card, foreground=colours.quiet, font=self.small)
        style.configure("Strong.TLabel", font=self.strong)
        style.configure("Pop.Strong.TLabel", background=colours.card, font=self.strong)
        style.configure("Title.TLabel", font=self.title)
        style.configure("Bad.TLabel", foreground=colours.bad)
        style.configure("Pop.Bad.TLabel", background=colours.card, foreground=colours.bad, font=self.small)
        for name in ("TButton", "Accent.TButton", "Toolbutton", "TScrollbar"):
            style.configure(f"Pop.{name}", background=colours.card)
        style.configure("TButton", font=self.body)
        style.configure("Accent.TButton", font=self.body)
        self._root.configure(background=colours.page)
        self._root.option_add("*Toplevel.background", colours.page)
        for name, value in (
            ("background", colours.card),
            ("foreground", colours.text),
            ("activeBackground", colours.accent),
            ("activeForeground", colours.on_accent),
            ("disabledForeground", colours.quiet),
            ("selectColor", colours.text),
            ("relief", "flat"),
            ("borderWidth", 1),
            ("activeBorderWidth", 0),
            ("font", self.body.name),
        ):
            self._root.option_add(f"*Menu.{name}", value)
        self._menus(self._root)

    def _menus(self, widget: tk.Misc) -> None:
        """Colour the menus that exist already. Later menus read the options."""
        for child in widget.winfo_children():
            if isinstance(child, tk.Menu):
                colours = self.palette
                child.configure(background=colours.card, foreground=colours.text, selectcolor=colours.text)
                child.configure(activebackground=colours.accent, activeforeground=colours.on_accent)
            self._menus(child)

    def px(self, size: float) -> int:
        """Pixels on this screen for a size meant for 96 dots an inch."""
        return round(size * self._scale)

    def mark(self, status: str, *, around: str | None = None) -> tk.PhotoImage:
        """The picture of a presence. `around`: the colour of an edge around it, for use on a face."""
        cover, colour = MARKS.get(status, MARKS[CLOSED])
        size = self.px(12)
        layers: list[tuple[shapes.Cover, str]] = [(cover, colour)]
        if around is not None:
            size = self.px(16)
            edge = self.px(2) / size
            layers = [(shapes.disc, around), (shapes.within(cover, edge), colour)]
        return self._picture(("mark", status, around), layers, size, size)

    def face(self, uid: int) -> tk.PhotoImage:
        """The disc behind someone's initials. A person always has the same colour."""
        colour = self.palette.faces[uid % len(self.palette.faces)]
        return self._picture(("face", colour), [(shapes.disc, colour)], self.px(36), self.px(36))

    def badge(self, digits: int) -> tk.PhotoImage:
        """The pill behind an unread count of so many digits."""
        width, height = self.px(12 + 8 * digits), self.px(20)
        return self._picture(("badge", digits), [(shapes.pill(width / height), self.palette.accent)], width, height)

    def sign(self, size: int) -> tk.PhotoImage:
        """Flash's sign, `size` pixels a side (of 96 dots an inch): for windows and the first screen."""
        layers = [(shapes.rounded(1.0, 0.24), "#1f5fd6"), (shapes.within(shapes.bolt, 0.17), "#ffffff")]
        return self._picture(("sign", size), layers, self.px(size), self.px(size))

    def bell(self) -> tk.PhotoImage:
        """The bell beside contacts of whom I am told when they come online."""
        return self._picture(("bell",), [(shapes.bell, self.palette.quiet)], self.px(14), self.px(14))

    def fit(self, text: str, font: tkfont.Font, room: int) -> str:
        """As much of a line of text as `room` pixels can hold, with an ellipsis when it is cut."""
        if font.measure(text) <= room:
            return text
        low, high = 0, len(text)
        while low < high:
            middle = (low + high + 1) // 2
            if font.measure(text[:middle] + "…") <= room:
                low = middle
            else:
                high = middle - 1
        return text[:low].rstrip() + "…"

    def _picture(self, key: tuple[object, ...], layers: Sequence[tuple[shapes.Cover, str]], width: int, height: int) -> tk.PhotoImage:
        if key not in self._pictures:
            self._pictures[key] = tk.PhotoImage(master=self._root, data=shapes.picture(layers, width, height), format="png")
        return self._pictures[key]

    def _font(self, name: str, family: str, size: int, *, bold: bool = False) -> tkfont.Font:
        return tkfont.Font(self._root, name=name, family=family, size=size, weight="bold" if bold else "normal")


def _copy(ours: tkfont.Font, theirs: tkfont.Font) -> None:
    actual = ours.actual()
    theirs.configure(family=actual["family"], size=actual["size"], weight=actual["weight"])
