"""A window that remembers its place. Rule: Escape closes it, and it takes the keyboard only when a person opened it."""

import tkinter as tk

from clients.tk.views.context import ViewContext


class Window(tk.Toplevel):
    """A titled window. `name`: of its remembered place. `usual`: its first size, at 96 dots an inch. `least`: its smallest size."""

    def __init__(
        self, master: tk.Misc, context: ViewContext, name: str, title: str, usual: tuple[int, int], least: tuple[int, int]
    ) -> None:
        super().__init__(master)
        self.withdraw()
        self._context, self._place = context, name
        self.title(title)
        px = context.theme.px
        screen = (self.winfo_screenwidth(), self.winfo_screenheight())
        self.geometry(context.remembered.geometry(self.place_name, screen, (px(usual[0]), px(usual[1]))))
        self.minsize(px(least[0]), px(least[1]))
        self.protocol("WM_DELETE_WINDOW", self.close)
        self.bind("<Escape>", lambda event: self.close())
        self.bind("<Control-w>", lambda event: self.close())
        self.bind("<<ThemeChanged>>", lambda event: self._colour() if event.widget is self else None)
        self._colour()

    @property
    def place_name(self) -> str:
        """The name of the remembered place, which differs for each user of Flash on this machine."""
        account = self._context.model.account
        return f"{account.handle if account else ''}:{self._place}"

    def open(self) -> None:
        """Show the window and give it the keyboard, because a person asked for it."""
        self.deiconify()
        self.lift()
        self.focus_set()

    def close(self) -> None:
        """Remember the place and close the window."""
        if self.winfo_exists():
            self._context.remembered.place(self.place_name, self.geometry())
            self.destroy()

    def _colour(self) -> None:
        self.configure(background=self._context.theme.palette.page)
