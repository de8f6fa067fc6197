"""Which proxy a URL goes through: HTTP_PROXY, HTTPS_PROXY and NO_PROXY (or the system's settings). Rule: asked once per origin.

aiohttp's own `trust_env` is not used: it also reads ~/.netrc and then refuses every request that carries a bearer token to a host
named there, and it hops to a thread for each request.
"""

import urllib.request
from typing import NamedTuple

import aiohttp
from yarl import URL


class Proxy(NamedTuple):
    """A proxy and how to log in there."""

    url: URL
    auth: aiohttp.BasicAuth | None


class Proxies:
    """The proxies of this process's environment as it was when each origin was first asked for."""

    def __init__(self) -> None:
        self._known: dict[URL, Proxy | None] = {}

    def for_url(self, url: URL) -> Proxy | None:
        """The proxy for this URL; None for a direct connection."""
        origin = url.origin()
        if origin not in self._known:
            self._known[origin] = _look_up(origin)
        return self._known[origin]


def _look_up(origin: URL) -> Proxy | None:
    address = urllib.request.getproxies().get(origin.scheme)
    if not address or urllib.request.proxy_bypass(f"{origin.host_subcomponent}:{origin.port}"):
        return None
    url = URL(address if "://" in address else f"http://{address}")
    auth = aiohttp.BasicAuth(url.user, url.password or "", encoding="utf-8") if url.user else None
    return Proxy(url.with_user(None), auth)
