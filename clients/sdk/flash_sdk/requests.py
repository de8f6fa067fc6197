"""One request and its answer. Rule: whatever goes wrong leaves here as one of the three errors of `flash_sdk.errors`.

Redirects are not followed, because Flash makes none and a bearer token must not go where a captive portal points.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import aiohttp
from yarl import URL

from flash_sdk.backoff import Backoff, Pace
from flash_sdk.errors import ProtocolError, Refused, TryLater, Unanswered, Unreachable, is_later, refusal
from flash_sdk.json_fields import parse_object
from flash_sdk.proxies import Proxies

MAX_ANSWER_BYTES = 16 * 1024 * 1024  # a contact list of 50,000 people; no answer of Flash is larger
CONNECT_TIMEOUT_S = 10.0  # a SYN lost twice is sent for the third time after 3 s
VERSION = "0.1.0"

T = TypeVar("T")


class Http:
    """Sends requests. Use within a running event loop; `close` it."""

    def __init__(self, *, timeout_s: float) -> None:
        """`timeout_s`: for a whole request and its answer, except for back connections."""
        self._session = aiohttp.ClientSession(
            headers={"User-Agent": f"flash-sdk/{VERSION}"},
            timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self._proxies = Proxies()

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    async def call(
        self, method: str, url: str, *, token: str | None = None, body: object = None, timeout_s: float | None = None
    ) -> dict[str, Any]:
        """Send JSON, get the JSON object (empty for 204). `timeout_s`: in place of the usual one. Raises `Refused`, `Unreachable`,
        `ProtocolError`."""
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S) if timeout_s is not None else None
        try:
            async with await self._request(method, url, token, body, timeout=timeout) as response:
                raw = await _read(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(url, error) from error
        if response.status >= 300:
            raise _problem(response, raw)
        return parse_object(raw) if raw else {}

    async def stream(
        self, url: str, *, token: str, accept: str, timeout_s: float, body: object = None, method: str = "POST"
    ) -> aiohttp.ClientResponse:
        """Open an endless answer; the caller closes it. Raises as `call` does, and `Unanswered` without a head after `timeout_s`."""
        headers = {"Accept": accept, "Accept-Encoding": "identity"}  # a proxy that compresses also buffers
        endless = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._request(method, url, token, body, headers, endless)
                if response.status == 200:
                    return response
                async with response:
                    raw = await _read(response)
        except (aiohttp.ClientError, OSError) as error:  # a connection that is not made in time is among them
            if type(error) is TimeoutError:
                raise Unanswered(f"no answer from {URL(url).origin()}: the stream is held back") from error
            raise unreachable(url, error) from error
        raise _problem(response, raw)

    async def _request(
        self,
        method: str,
        url: str,
        token: str | None,
        body: object,
        headers: dict[str, str] | None = None,
        timeout: aiohttp.ClientTimeout | None = None,
    ) -> aiohttp.ClientResponse:
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if body is not None:
            sent["Content-Type"] = "application/json"
        target = URL(url, encoded=True)
        return await self._session.request(
            method,
            target,
            data=None if body is None else json.dumps(body).encode(),
            headers=sent,
            allow_redirects=False,
            proxy=self._proxies.for_url(target),
            timeout=timeout or self._session.timeout,
        )


async def retrying(call: Callable[[], Awaitable[T]], pace: Pace, deadline_s: float) -> T:
    """Repeat a call after a lost answer or "later" until the deadline, then raise its last error. Only for calls that change nothing the
    second time."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + deadline_s
    backoff = Backoff(pace)
    failure: Unreachable | TryLater = Unreachable("no answer in time")
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                return await call()
        except (Unreachable, TryLater) as error:
            failure = error
        except TimeoutError:
            raise failure from None
        wait_s = backoff.next_s(getattr(failure, "retry_after_s", None) or 0.0)
        if clock() + wait_s >= deadline:
            raise failure
        await asyncio.sleep(wait_s)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    raw = bytearray()
    async for chunk in response.content.iter_any():
        raw += chunk
        if len(raw) > MAX_ANSWER_BYTES:
            raise ProtocolError("the answer is too large")
    return bytes(raw)


def unreachable(url: str, error: BaseException) -> Unreachable:
    """The error for a request without an answer, with the cause in one sentence."""
    if isinstance(error, TimeoutError):
        why = "timed out"
    elif isinstance(error, aiohttp.ClientHttpProxyError):
        why = f"the proxy answered {error.status}"
    elif isinstance(error, OSError) and error.strerror:
        # the sentence has the address already, and asyncio puts it into `strerror`; a name that does not resolve has a negative errno
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
    else:
        why = "the connection broke"
    return Unreachable(f"no answer from {URL(url).origin()}: {why}")


def _problem(response: aiohttp.ClientResponse, raw: bytes) -> Refused | ProtocolError:
    """Read an RFC 9457 problem. A refusal without a code of Flash comes from something between us and the server, so nothing is known
    about what the server would say; a "later" of that kind gets the code `http_<status>`."""
    if response.status < 400:
        return ProtocolError(f"the server answered with {response.status}, which Flash never does; is there a login page in between?")
    problem: dict[str, Any] = {}
    if response.content_type in ("application/problem+json", "application/json"):
        try:
            problem = parse_object(raw)
        except ProtocolError:
            problem = {}  # only the status is known then
    code, detail = problem.get("code"), problem.get("detail") or problem.get("title")
    if not isinstance(code, str) and not is_later(response.status):
        return ProtocolError(f"something in between answered with {response.status}: a proxy or a filter that does not let this through?")
    extra = {name: value for name, value in problem.items() if name not in ("type", "title", "status", "detail", "code", "instance")}
    refused = refusal(
        code if isinstance(code, str) else f"http_{response.status}",
        response.status,
        detail if isinstance(detail, str) else f"the server answered with {response.status}",
        extra,
    )
    if isinstance(refused, TryLater):
        seconds = response.headers.get("Retry-After", "")
        refused.retry_after_s = float(seconds) if seconds.isascii() and seconds.isdigit() and len(seconds) < 7 else None
    return refused
