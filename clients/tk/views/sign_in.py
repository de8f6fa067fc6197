"""Signs in and registers. Rule: a password is handed on once, and wiped from its field as soon as it was right."""

import tkinter as tk
from tkinter import ttk

from clients.tk.model.inputs import SignIn
from clients.tk.model.values import DEFAULT_SERVER
from clients.tk.views.context import ViewContext

COLUMN = 320  # wide enough for an address


class SignInView(ttk.Frame):
    """Fields for address, handle and password, one for the full name when registering, and one line for an error."""

    def __init__(self, master: tk.Misc, context: ViewContext) -> None:
        super().__init__(master)
        self._context = context
        theme = context.theme
        self._new = tk.BooleanVar(self, value=False)
        self._values = {name: tk.StringVar(self) for name in ("server", "handle", "full_name", "password")}
        self._values["server"].set(DEFAULT_SERVER)
        column = ttk.Frame(self)
        column.place(relx=0.5, rely=0.46, anchor="center", relwidth=0.86)
        column.columnconfigure(0, weight=1)
        self._sign = ttk.Label(column, image=theme.sign(48))
        self._sign.grid(row=0, column=0, pady=(0, theme.px(8)))
        self._title = ttk.Label(column, style="Title.TLabel", anchor="center")
        self._title.grid(row=1, column=0, pady=(0, theme.px(14)))
        self._labels: dict[str, ttk.Label] = {}
        self.fields: dict[str, ttk.Entry] = {}
        for at, (name, said) in enumerate(
            (
                ("server", "Server address"),
                ("handle", "Handle"),
                ("full_name", "Full name, for others to find you"),
                ("password", "Password"),
            )
        ):
            label = ttk.Label(column, text=said, style="Quiet.TLabel")
            label.grid(row=2 + 2 * at, column=0, sticky="w", pady=(theme.px(8), theme.px(2)))
            field = ttk.Entry(column, textvariable=self._values[name], show="•" if name == "password" else "", width=10)
            field.grid(row=3 + 2 * at, column=0, sticky="ew")
            field.bind("<Return>", lambda event: self._go())
            field.bind("<KP_Enter>", lambda event: self._go())
            self._labels[name], self.fields[name] = label, field
        self.error = ttk.Label(column, style="Bad.TLabel", wraplength=theme.px(COLUMN), justify="left")
        self.error.grid(row=10, column=0, sticky="ew", pady=(theme.px(10), 0))
        self.button = ttk.Button(column, style="Accent.TButton", command=self._go)
        self.button.grid(row=11, column=0, sticky="ew", pady=(theme.px(12), theme.px(6)))
        self.switch = ttk.Button(column, style="Toolbutton", command=self._switch)
        self.switch.grid(row=12, column=0)
        column.bind("<Configure>", lambda event: self.error.configure(wraplength=event.width))
        self.bind("<<ThemeChanged>>", lambda event: self._sign.configure(image=theme.sign(48)))
        self._shown = context.model.sign_in
        self._prefill()
        self.draw()

    def take_keyboard(self) -> None:
        """Give the keyboard to the first empty field."""
        for name in ("server", "handle", "password"):
            if not self._values[name].get():
                self.fields[name].focus_set()
                return
        self.fields["password"].focus_set()

    def draw(self) -> None:
        """Draw the sign-in as the model has it."""
        state = self._context.model.sign_in
        if (state.server, state.handle) != (self._shown.server, self._shown.handle):
            self._prefill()
        self._shown = state
        new = self._new.get()
        self._title.configure(text="Join Flash" if new else "Sign in to Flash")
        going, idle = ("Registering…", "Register") if new else ("Signing in…", "Sign in")
        self.button.configure(text=going if state.busy else idle, state="disabled" if state.busy else "normal")
        self.switch.configure(
            text="I have a handle: sign in" if new else "New here? Register", state="disabled" if state.busy else "normal"
        )
        self.error.configure(text=state.error)
        for part in (self._labels["full_name"], self.fields["full_name"]):
            (part.grid if new else part.grid_remove)()

    def wipe(self) -> None:
        """Forget the password that was typed."""
        self._values["password"].set("")

    def _prefill(self) -> None:
        state = self._context.model.sign_in
        for name, value in (("server", state.server), ("handle", state.handle)):
            if value:
                self._values[name].set(value)

    def _switch(self) -> None:
        self._new.set(not self._new.get())
        self.draw()
        self.take_keyboard()

    def _go(self) -> str:
        values = {name: variable.get() for name, variable in self._values.items()}
        if not self._context.model.sign_in.busy:
            new = self._new.get()
            self._context.do(
                SignIn(
                    values["server"].strip(),
                    values["handle"].strip(),
                    values["password"],
                    register=new,
                    full_name=values["full_name"].strip() if new else "",
                )
            )
        return "break"
