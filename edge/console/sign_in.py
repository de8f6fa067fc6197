"""Who may see the ops console: signing in, the cookie, refusals as pages.

Rule: a request that changes something must come from a page of this server.

The cookie holds a token that is good for this console only. It is HttpOnly (no script reads it), SameSite=Strict (no other site sends
it), and goes to `/ops` only.
"""

import re
import time
from collections.abc import Callable, Mapping

from domain.errors import BadCredentials, FlashError, Forbidden, TooManyRequests, Unauthorized, Unavailable
from edge.console.contract import Console
from edge.console.forms import SignIn, SignInPage
from edge.console.markup import tag
from edge.console.page import field, link, notice, page, redirect
from edge.contracts.servers import Verifier
from edge.http.client_address import TrustedProxies
from edge.http.messages import Answer, Call
from edge.http.problems import problem_for, status_of
from edge.http.route import Gate
from servers.security.identity import Identity
from servers.security.tokens import MAX_TOKEN_CHARS

COOKIE = "flash_ops"
HOME = "/ops"
_OURS = re.compile(r"/ops(/[a-z]+)*(\?[\w.~:%&=+-]*)?", re.ASCII)
_NO_ROLE = "This console is for users with the role ops, which the setting FLASH_OPS gives. You are signed in as {}, who does not have it."


def reading_gate(console: Console, verifier: Verifier) -> Gate:
    """Lets in requests whose cookie holds the valid token of a user who may use the console. Raises `Unauthorized`, `Forbidden`."""

    def gate(headers: Mapping[str, str]) -> Identity:
        token = _cookie(headers.get("Cookie", ""))
        if not token or not token.isascii() or len(token) > MAX_TOKEN_CHARS:
            raise Unauthorized("Please sign in.")
        who = verifier.verify(token)
        if not console.allows(who):
            raise Forbidden(_NO_ROLE.format(who.handle))
        return who

    return gate


def changing_gate(console: Console, verifier: Verifier, origin: str) -> Gate:
    """The same for requests that change something. They must come from a page of this server. Raises `Forbidden`, `Unauthorized`."""
    reading = reading_gate(console, verifier)

    def gate(headers: Mapping[str, str]) -> Identity:
        must_be_ours(headers, origin)
        return reading(headers)

    return gate


def must_be_ours(headers: Mapping[str, str], origin: str) -> None:
    """Refuse a request of another site. Browsers say where a request comes from; a client that says nothing is no browser, or an old one.
    `origin`: this server's as clients see it, because a proxy may change the header `Host`. Raises `Forbidden`."""
    site, claimed, host = headers.get("Sec-Fetch-Site"), headers.get("Origin"), headers.get("Host", "")
    if site is not None:
        ours = site == "same-origin"
    else:
        ours = claimed is not None and (claimed == origin or (bool(host) and claimed.partition("://")[2] == host))
    if not ours:
        raise Forbidden("This request does not come from a page of this console.")


def refuse(error: Exception, route: str, target: str) -> tuple[Answer, str]:
    """A refusal as a page, and its code. A browser that is not signed in is sent to the form."""
    answer, code = problem_for(error, route)
    if isinstance(error, Unauthorized):
        wanted = target if route.startswith("GET ") and target != HOME else None
        return redirect(link("/ops/login", next=wanted)), code
    if isinstance(error, Forbidden):
        way_out = tag("form", tag("button", "Sign out"), action="/ops/logout", method="post")
        return page("Not allowed", None, notice(error.detail, "fault"), way_out, status=403), code
    if isinstance(error, Unavailable):
        return page("Not ready", None, notice(error.detail, "fault"), status=answer.status, headers=answer.headers), code
    detail = error.detail if isinstance(error, FlashError) else "The server made a mistake; it has been noted."
    back = tag("p", tag("a", "Back to the events", href=HOME))
    return page("That did not work", None, notice(detail, "fault"), back, status=answer.status, headers=answer.headers), code


class SigningIn:
    """Signing in and out. `origin`: this server's as clients see it; with https, the cookie is never sent over plain HTTP."""

    def __init__(
        self, console: Console, verifier: Verifier, proxies: TrustedProxies, origin: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._console = console
        self._proxies = proxies
        self._verifier = verifier
        self._origin = origin
        self._secure = "; Secure" if origin.startswith("https:") else ""
        self._clock = clock

    async def show(self, call: Call) -> Answer:
        """The sign-in form."""
        query: SignInPage = call.query
        return _form(query.next)

    async def sign_in(self, call: Call) -> Answer:
        """Check handle and password, give a user with the role the cookie, and show the page that they wanted."""
        must_be_ours(call.headers, self._origin)
        body: SignIn = call.body
        try:
            token = await self._console.sign_in(body.handle, body.password, self._proxies.client_of(call))
        except (BadCredentials, TooManyRequests) as error:
            return _form(body.next, error.detail, status_of(type(error)))
        who = self._verifier.verify(token)
        if not self._console.allows(who):
            raise Forbidden(_NO_ROLE.format(who.handle))
        lasts_s = int(who.expires_at - self._clock())
        return redirect(body.next if _OURS.fullmatch(body.next) else HOME, self._set_cookie(token, lasts_s))

    async def sign_out(self, call: Call) -> Answer:
        """Delete the cookie. This needs no valid cookie, so that nobody is stuck with an invalid one."""
        must_be_ours(call.headers, self._origin)
        return redirect("/ops/login", self._set_cookie("", 0))

    def _set_cookie(self, token: str, lasts_s: int) -> bytes:
        return f"Set-Cookie: {COOKIE}={token}; Path=/ops; Max-Age={lasts_s}; HttpOnly; SameSite=Strict{self._secure}\r\n".encode()


def _form(following: str, fault: str | None = None, status: int = 200) -> Answer:
    handle = tag("input", name="handle", autocomplete="username", required=True, autofocus=True, maxlength="32", autocapitalize="none")
    password = tag("input", name="password", type="password", autocomplete="current-password", required=True, maxlength="256")
    form = tag(
        "form",
        field("Handle", handle),
        field("Password", password),
        tag("input", type="hidden", name="next", value=following),
        tag("button", "Sign in"),
        action="/ops/login",
        method="post",
        class_="card",
    )
    return page("Sign in", None, notice(fault, "fault"), form, status=status)


def _cookie(header: str) -> str:
    for pair in header.split(";"):
        name, _, value = pair.strip().partition("=")
        if name == COOKIE:
            return value
    return ""
