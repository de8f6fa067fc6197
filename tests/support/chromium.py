"""Debian's Chromium without a screen, driven over the DevTools protocol. Rule: every error of a page is kept for the test.

Only what the tests need: keys, looking, waiting, pictures. Keys go through the browser's own input, so focus and forms are the real ones.
"""

import asyncio
import base64
import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.waiting import eventually

START_S = 40.0  # a cold start on two busy cores took 6
ANSWER_S = 20.0
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # the tests may run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--password-store=basic",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
KEYS = {  # key -> what it types, its number
    "Tab": ("", 9), "Enter": ("\r", 13), "Home": ("", 36), "End": ("", 35), "ArrowLeft": ("", 37), "ArrowRight": ("", 39),
    "ArrowDown": ("", 40), "PageUp": ("", 33), "PageDown": ("", 34), "Escape": ("", 27), " ": (" ", 32),
}  # fmt: skip
SHIFT = 8


class Chromium:
    """One running browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._pages: dict[str, Page] = {}
        self._reader = asyncio.create_task(self._read())

    async def send(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """One call. Raises `AssertionError` with the browser's error."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        call = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        await self._socket.send_json(call)
        async with asyncio.timeout(ANSWER_S):
            told = await answer
        assert "error" not in told, (method, told["error"])
        result: dict[str, Any] = told["result"]
        return result

    async def page(self) -> "Page":
        """A new page that shares nothing with the others."""
        context = await self.send("Target.createBrowserContext")
        target = await self.send("Target.createTarget", url="about:blank", browserContextId=context["browserContextId"])
        attached = await self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        page = self._pages[attached["sessionId"]] = Page(self, attached["sessionId"])
        for domain in ("Page", "Runtime", "Log", "Network"):
            await page.send(f"{domain}.enable")
        return page

    async def close(self) -> None:
        """End the browser."""
        with contextlib.suppress(AssertionError, TimeoutError, ConnectionError):
            await self.send("Browser.close")
        self._reader.cancel()

    async def _read(self) -> None:
        async for message in self._socket:
            told = json.loads(message.data)
            answer = self._answers.pop(told.get("id", 0), None)
            if answer is not None and not answer.done():
                answer.set_result(told)
            elif (page := self._pages.get(told.get("sessionId", ""))) is not None:
                page.heard(told["method"], told["params"])


class Page:
    """One page. `complaints`: errors of its console, of scripts, and of the content security policy."""

    def __init__(self, browser: Chromium, session: str) -> None:
        self._browser = browser
        self._session = session
        self.complaints: list[str] = []
        self.loads = 0

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One call about this page."""
        return await self._browser.send(method, self._session, **parameters)

    def heard(self, method: str, told: dict[str, Any]) -> None:
        """Something happened."""
        if method == "Page.loadEventFired":
            self.loads += 1
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(told["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(told["args"]))
        elif method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")

    async def goes_to(self, url: str) -> None:
        """Open an address and wait until the page is loaded."""
        before = self.loads
        told = await self.send("Page.navigate", url=url)
        assert not told.get("errorText"), told
        await eventually(lambda: self.loads > before, ANSWER_S)

    async def says(self, script: str) -> Any:
        """The value of an expression."""
        told = await self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    async def until(self, script: str, timeout_s: float = 10) -> Any:
        """The first true value of an expression; while the browser leaves a page, the value counts as false."""

        async def look() -> Any:
            try:
                return await self.says(script)
            except AssertionError:
                return None

        return await eventually(look, timeout_s)

    async def loads_after(self, action: Any) -> None:
        """Await `action`, and then the page that it leads to."""
        before = self.loads
        await action
        await eventually(lambda: self.loads > before, ANSWER_S)

    async def presses(self, *keys: str, shift: bool = False) -> None:
        """Press keys of `KEYS`, one after the other."""
        for key in keys:
            typed, number = KEYS[key]
            event = {"key": key, "code": key, "windowsVirtualKeyCode": number, "modifiers": SHIFT if shift else 0}
            await self.send("Input.dispatchKeyEvent", type="keyDown" if typed else "rawKeyDown", text=typed, **event)
            await self.send("Input.dispatchKeyEvent", type="keyUp", **event)

    async def types(self, text: str) -> None:
        """Type text into the focused element."""
        await self.send("Input.insertText", text=text)

    async def tabs_to(self, script: str, at_most: int = 60) -> None:
        """Press Tab until the focused element `e` satisfies `script`."""
        for _ in range(at_most):
            if await self.says(f"((e) => Boolean({script}))(document.activeElement)"):
                return
            await self.presses("Tab")
        raise AssertionError(f"not reached with {at_most} tabs: {script}")

    async def looks(self, *, dark: bool = False, width: int = 1200, height: int = 800) -> None:
        """Set the colour scheme and the window's size."""
        await self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        await self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)

    async def picture(self) -> bytes:
        """What the window shows, as PNG."""
        told = await self.send("Page.captureScreenshot", format="png")
        return base64.b64decode(told["data"])


@asynccontextmanager
async def chromium(directory: Path) -> AsyncIterator[Chromium]:
    """A browser whose profile is in `directory`, for as long as it lasts."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program, "Chromium is missing: scripts/test_needs.sh installs it"
    address = directory / "DevToolsActivePort"
    with (directory / "chromium.log").open("wb") as log:
        command = [program, *FLAGS, f"--user-data-dir={directory}", "about:blank"]
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "HOME": str(directory)})  # noqa: ASYNC220
        try:
            await eventually(lambda: address.exists() and address.read_text().count("\n") >= 1, START_S)
            port, path = address.read_text().split("\n")[:2]
            async with aiohttp.ClientSession() as http, http.ws_connect(f"ws://127.0.0.1:{port}{path}", max_msg_size=0) as socket:
                browser = Chromium(socket)
                try:
                    yield browser
                finally:
                    await browser.close()
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait, 10)
