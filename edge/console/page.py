"""The frame of every page of the ops console: head, navigation, headers of the answer. Rule: no page carries script or style of its own.

The content security policy therefore allows none, and injected markup could run nothing.
"""

import hashlib
import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

from edge.console.markup import NONE, Html, tag, text
from edge.http.messages import Answer, Call
from runtime.times import rfc3339
from servers.security.identity import Identity

HTML = b"text/html; charset=utf-8"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
GUARDS = (
    f"Content-Security-Policy: {POLICY}\r\nX-Frame-Options: DENY\r\nReferrer-Policy: same-origin\r\n"
    "Cross-Origin-Opener-Policy: same-origin\r\nCross-Origin-Resource-Policy: same-origin\r\n"
).encode()
# A changed file has another address, so browsers need not ask whether their copy is still valid.
FOREVER = b"public, max-age=31536000, immutable"
STATIC = {"console.css": b"text/css; charset=utf-8", "console.js": b"text/javascript; charset=utf-8", "icon.svg": b"image/svg+xml"}

LOCAL_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?")  # as HTML writes a local date and time

PLACES = (
    ("/ops", "Events"),
    ("/ops/presence", "Presence"),
    ("/ops/homes", "Homes"),
    ("/ops/heavy", "Heavy use"),
    ("/ops/dead", "Dead letters"),
)


def page(title: str, who: Identity | None, *content: Any, status: int = 200, here: str = "", headers: bytes = b"") -> Answer:
    """A whole page. `here`: its place in the navigation; `who`: None before anybody has signed in."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{title} · Flash ops"),
        tag("link", rel="icon", href=static("icon.svg")),
        tag("link", rel="stylesheet", href=static("console.css")),
        tag("script", src=static("console.js"), defer=True),
    )
    body = tag(
        "body",
        tag("a", "Skip to content", href="#content", class_="skip"),
        tag("header", tag("span", "Flash ", tag("b", "ops"), class_="brand"), _navigation(who, here) if who else None),
        tag("main", tag("h1", title), *content, id="content", tabindex="-1"),
        tag("footer", "All times are UTC. Every look at the history is itself an event."),
    )
    document = text(Html("<!doctype html>\n"), tag("html", head, body, lang="en"))
    return Answer(status, document.encode(), HTML, GUARDS + headers)


def _navigation(who: Identity, here: str) -> Html:
    links = [tag("a", label, href=path, aria_current="page" if path == here else None) for path, label in PLACES]
    user = tag("input", name="who", placeholder="handle or uid", aria_label="User", required=True, maxlength="64")
    message = tag("input", name="message", placeholder="message id", aria_label="Message id", required=True, maxlength="64")
    return text(
        tag("nav", *links, aria_label="Console"),
        tag("form", user, tag("button", "Timeline"), action="/ops/user", role="search", aria_label="Find a user", class_="find"),
        tag("form", message, tag("button", "Trace"), action="/ops/trace", role="search", aria_label="Find a popup", class_="find"),
        tag("form", tag("button", f"Sign out {who.handle}"), action="/ops/logout", method="post", class_="find"),
    )


def redirect(target: str, headers: bytes = b"") -> Answer:
    """Send the browser to `target`, which must be a path of this server."""
    return Answer(303, b"", HTML, b"Location: " + target.encode("ascii") + b"\r\n" + GUARDS + headers)


def link(path: str, **query: Any) -> str:
    """An address of the console; fields that are None or empty are left out."""
    filled = {name: value for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(filled)}" if filled else path


@cache
def static_file(name: str) -> tuple[bytes, str]:
    """A static file's content, and its version."""
    content = files("edge.console").joinpath("static", name).read_bytes()
    return content, hashlib.sha256(content).hexdigest()[:12]


def static(name: str) -> str:
    """The address of a static file in its present version."""
    return f"/ops/static/{name}?v={static_file(name)[1]}"


async def serve_static(call: Call) -> Answer:
    """A stylesheet, script or picture. It is open to everybody because nothing in it is personal."""
    name = call.path["name"]
    if name not in STATIC:
        return page("Not found", None, tag("p", "There is no such file."), status=404)
    return Answer(200, static_file(name)[0], STATIC[name], GUARDS, FOREVER)


def moment(seconds: float | None, missing: str = "–") -> Html:
    """A time to the millisecond, written for people and for programs."""
    if seconds is None:
        return Html(missing) if missing == "–" else text(missing)
    written = rfc3339(seconds)[: -len("000Z")]  # HTML allows a fraction of three digits at most
    return tag("time", written.replace("T", " "), datetime=f"{written}Z")


def table(caption: str, headings: tuple[str, ...], rows: list[Html], empty: str, **attributes: Any) -> Html:
    """A table. Without rows it shows `empty`."""
    head = tag("thead", tag("tr", *(tag("th", heading, scope="col") for heading in headings)))
    body = rows or [tag("tr", tag("td", empty, colspan=len(headings), class_="empty"))]
    inner = tag("table", tag("caption", caption), head, tag("tbody", *body), **attributes)
    return tag("div", inner, class_="wide", tabindex="0", role="region", aria_label=caption)


def row(*cells: Any, **attributes: Any) -> Html:
    """A row of a table. A list is what stands in one cell."""
    return tag("tr", [tag("td", cell) for cell in cells], **attributes)


def figures(named: Iterable[tuple[str, Any]]) -> Html:
    """A list of named values."""
    return tag("dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in named], class_="figures")


def field(label: str, control: Html) -> Html:
    """A control and its label."""
    return tag("label", tag("span", label), control)


def time_field(label: str, name: str, value: str) -> Html:
    """A control for a moment. A value that a browser would refuse is left out."""
    kept = value if LOCAL_TIME.fullmatch(value) else None
    return field(label, tag("input", type="datetime-local", step="1", name=name, value=kept))


def notice(message: str | None, kind: str = "note") -> Html:
    """A line at the top of a page. `kind`: `note` or `fault`."""
    return tag("p", message, class_=kind, role="status" if kind == "note" else "alert") if message else NONE
