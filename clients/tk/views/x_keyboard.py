"""Gives the keyboard back to the window that had it before a popup. Rule: only on X, only on Tk's thread, and it never fails.

Some window managers (openbox, metacity) give the keyboard back by themselves when the window that has it goes. Others (icewm) leave it
with no window if they did not manage that window, and they do not manage popups. Tk has no call for windows of other programs, but Xlib
has.
"""

import ctypes
import ctypes.util
import tkinter as tk

NOBODY, POINTER = 0, 1  # X's None and PointerRoot: no window
TO_PARENT = 2  # X's RevertToParent: where the keyboard goes when that window is unmapped
NOW = 0  # X's CurrentTime

_Handler = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_unheard = _Handler(lambda display, error: 0)  # the window may have gone meanwhile, and Xlib's own handler would end the program


class Keyboard:
    """Has its own connection to the X server. Without one, it knows nothing and does nothing."""

    def __init__(self, root: tk.Misc) -> None:
        self._x: ctypes.CDLL | None = None
        if root.tk.call("tk", "windowingsystem") != "x11":
            return
        try:
            x = ctypes.CDLL(ctypes.util.find_library("X11") or "libX11.so.6")
        except OSError:
            return
        x.XOpenDisplay.restype = ctypes.c_void_p
        x.XSetErrorHandler.restype = ctypes.c_void_p
        x.XSetErrorHandler.argtypes = [ctypes.c_void_p]
        x.XGetInputFocus.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_ulong), ctypes.POINTER(ctypes.c_int)]
        x.XSetInputFocus.argtypes = [ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_ulong]
        x.XSync.argtypes = [ctypes.c_void_p, ctypes.c_int]
        self._display = x.XOpenDisplay(str(root.winfo_screen()).encode())
        if self._display:
            self._x = x

    def owner(self) -> int:
        """The window that has the keyboard, or `NOBODY`."""
        window, revert = ctypes.c_ulong(NOBODY), ctypes.c_int()
        if self._x is not None:
            self._x.XGetInputFocus(self._display, ctypes.byref(window), ctypes.byref(revert))
        return NOBODY if window.value == POINTER else window.value

    def give(self, window: int) -> None:
        """Give the keyboard to this window, if it is still on the screen."""
        if self._x is None or window == NOBODY:
            return
        before = self._x.XSetErrorHandler(ctypes.cast(_unheard, ctypes.c_void_p))
        self._x.XSetInputFocus(self._display, window, TO_PARENT, NOW)
        self._x.XSync(self._display, False)
        self._x.XSetErrorHandler(before)
