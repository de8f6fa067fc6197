"""Puts the popup client together. Rule: every object is made here, once, and the engine ends after the windows have closed."""

import json
import signal
import sys
import tkinter as tk
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from clients.tk.disk.paths import Paths
from clients.tk.engine.bridge import Bridge
from clients.tk.engine.engine import Engine
from clients.tk.gc_on_tk_thread import Collector
from clients.tk.model.model import Model
from clients.tk.stall_watch import StallWatch
from clients.tk.views.desktop_looks import looks_of_the_desktop
from clients.tk.views.editing_keys import teach
from clients.tk.views.remembered import Remembered
from clients.tk.views.theme import Theme
from clients.tk.windows import WindowManager, chosen_mode

# Tkinter releases the interpreter around every call of Tcl. While the engine computes, each call would wait the usual 5 ms to get it back.
SWITCH_S = 0.0001

DEBUG, WARNING = 10, 30  # structlog's levels are those of logging


@dataclass(frozen=True, slots=True)
class Options:
    """How to start. `looks`: `light`, `dark` or `system`; None for the last choice. `verbose`: log to standard error, with timings.
    `direct`: popups may come and go directly between clients."""

    server: str | None = None
    handle: str | None = None
    looks: str | None = None
    verbose: bool = False
    use_keyring: bool = True
    direct: bool = False


def run(options: Options, watch: Callable[[tk.Tk], object] | None = None) -> None:
    """Run until the person leaves. `watch` gets the root window first. Raises `tk.TclError` when there is no display."""
    _log_to_standard_error(verbose=options.verbose)
    sys.setswitchinterval(SWITCH_S)
    paths = Paths.of_this_person()
    remembered = Remembered(paths.config / "windows.json")
    desktop = looks_of_the_desktop()
    root = tk.Tk(className="Flash")
    root.withdraw()
    teach(root)
    theme = Theme(root, chosen_mode(options.looks or remembered.theme, desktop))
    bridge = Bridge(Model())
    engine = Engine(
        bridge, paths, server=options.server, handle=options.handle, use_keyring=options.use_keyring, direct=options.direct
    )  # fmt: skip
    windows = WindowManager(root, bridge, theme, remembered, desktop, root.quit)
    if options.verbose:
        StallWatch(root)
    if watch is not None:
        watch(root)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *why: root.after(0, windows.quit))
    collector = Collector(root.after)
    engine.start()
    root.deiconify()
    try:
        root.mainloop()
    finally:
        root.withdraw()
        root.update_idletasks()
        engine.stop()
        remembered.close()
        root.destroy()
        bridge.close()
        collector.close()


def _log_to_standard_error(*, verbose: bool) -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=json.dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(DEBUG if verbose else WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
