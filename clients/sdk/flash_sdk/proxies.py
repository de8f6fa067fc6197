"""Which proxy a URL goes through: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, or the system's settings. Rule: looked up once per origin.

aiohttp's own `trust_env` is not used, because it also reads ~/.netrc and then refuses every request with a bearer token to a host that is
named there, and because it uses a thread for each request.
"""

import urllib.request

from yarl import URL


class Proxies:
    """The proxies of this process's environment. A later change of the environment counts for new origins only."""

    def __init__(self) -> None:
        self._known: dict[URL, URL | None] = {}

    def for_url(self, url: URL) -> URL | None:
        """The proxy for this URL, with its credentials; None for a direct connection."""
        origin = url.origin()
        if origin not in self._known:
            self._known[origin] = _look_up(origin)
        return self._known[origin]


def _look_up(origin: URL) -> URL | None:
    address = urllib.request.getproxies().get(origin.scheme)
    if not address or urllib.request.proxy_bypass(f"{origin.host_subcomponent}:{origin.port}"):
        return None
    return URL(address if "://" in address else f"http://{address}")
