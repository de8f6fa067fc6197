"""The pictures of the README: real windows over a model that is told a small story. Rule: no server, so that a picture is made in seconds.

`python -m tests.clients.tk.windows.gallery docs/images` makes them all; `… SCENE LOOKS FILE` plays one on the present display and
makes FILE when it is over.
"""

import sys
import tempfile
import tkinter as tk
from datetime import UTC, datetime, timedelta
from pathlib import Path

from clients.tk.engine.bridge import Bridge
from clients.tk.model.inputs import Accepted, Saved, SignedIn, Write
from clients.tk.model.model import Model
from clients.tk.model.values import Account
from clients.tk.views.remembered import Remembered
from clients.tk.views.theme import Mode, Theme
from clients.tk.windows import WindowManager
from flash_sdk import Connected, Contact, Message, Receipt, Sender, Status, Welcome
from tests.support.display import Display
from tests.support.waiting import wait_until

SCENES: dict[str, tuple[Mode, str]] = {  # name: looks, and what of the screen (ImageMagick's geometry)
    "popups": ("light", "736x600+540+30"),
    "reply": ("dark", "736x600+540+30"),
    "conversation": ("light", "900x690+0+30"),
}
PEOPLE = (
    ("Bob Baker", "online", ""), ("Carol Smith", "online", "shipping day"), ("Dave Miller", "online", ""),
    ("Erin Fox", "away", "lunch, back at two"), ("Frank Ochs", "dnd", "deep work"), ("Grace Hopper", "offline", ""),
    ("Heidi Klein", "offline", ""), ("Ivan Petrov", "unknown", ""),
)  # fmt: skip
PLAYED_S = 60.0  # a scene plays for two seconds, on a machine that has time
DRAWN_MS = 500  # after the last that happens: long enough for the window manager, too


def main() -> None:
    """One scene, or all of them."""
    if len(sys.argv) == 4:
        play(sys.argv[1], "dark" if sys.argv[2] == "dark" else "light", Path(sys.argv[3]))
        return
    folder = Path(sys.argv[1])
    for scene, (looks, part) in SCENES.items():
        with tempfile.TemporaryDirectory() as place, Display(Path(place)) as display:
            played = Path(place) / "played"
            display.start(sys.executable, "-m", "tests.clients.tk.windows.gallery", scene, looks, str(played))
            wait_until(played.exists, PLAYED_S, scene)
            display.picture(folder / f"tk-{scene}.png", part)


def play(scene: str, looks: Mode, played: Path) -> None:
    """Open windows and let things happen in them."""
    root = tk.Tk(className="Flash")
    root.withdraw()
    bridge = Bridge(Model())
    bridge.bind(lambda command: None)
    windows = WindowManager(root, bridge, Theme(root, looks), Remembered(Path(tempfile.mkdtemp()) / "windows.json"), looks, root.destroy)
    root.geometry("340x560+553+44")
    root.deiconify()
    now = datetime.now(UTC)
    handles = [name.split()[0].lower() for name, _, _ in PEOPLE]

    def begin() -> None:
        contacts = tuple(
            Contact(
                uid, handle, name, None, uid == 7, Status(status, None if status == "unknown" else now - timedelta(minutes=9 * uid), note)
            )
            for uid, (handle, (name, status, note)) in enumerate(zip(handles, PEOPLE, strict=True), 2)
        )
        for happened in (SignedIn(Account("http://127.0.0.1:8080", 1, "ann")), Connected(), Welcome("s", 1, 30.0, "fresh", 0, contacts)):
            bridge.report(happened)
        root.after(200, talk)

    def says(number: int, uid: int, text: str, answers: str | None = None, *, urgent: bool = False) -> None:
        sender = Sender(uid, handles[uid - 2], PEOPLE[uid - 2][0])
        bridge.report(Message(number, f"m{number}", sender, text, now - timedelta(seconds=90 - number), answers, urgent))

    def talk() -> None:
        windows.do(Write("w1", 2, "Shall we look at the release notes together?"))
        for happened in (Saved("w1"), Accepted("w1"), Receipt("w1", 2, "done", now, None)):
            bridge.report(happened)
        says(1, 2, "Yes! They are at https://flash.example/notes (draft). I have ten minutes before the call; does that suit you?", "w1")
        if scene != "conversation":
            says(2, 3, "pop over?")
            says(3, 5, "The build on main is red, can you stop the deploy?", urgent=True)
        root.after(500, end)

    def end() -> None:
        if scene == "reply":
            popup = windows.popups.newest_of(2)
            if popup is not None:
                popup.reply()
                popup.write("Perfect, coming over now.")
        if scene == "conversation":
            windows.write_to(2)
            root.after(300, talk_on)
        else:
            root.after(DRAWN_MS, played.touch)

    def talk_on() -> None:
        windows.do(Write("w2", 2, "Perfect, coming over now.", answers=(2, "m1")))
        for happened in (Saved("w2"), Accepted("w2"), Receipt("w2", 2, "delivered", now, None)):
            bridge.report(happened)
        says(4, 2, "Bring coffee :)", "w2")
        root.after(DRAWN_MS, played.touch)

    root.after(100, begin)
    root.mainloop()


if __name__ == "__main__":
    main()
