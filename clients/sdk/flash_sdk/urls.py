"""URLs of servers. Rule: a URL that cannot be a server's is refused before anything is sent."""

from urllib.parse import quote, urlsplit


def base_url(url: str) -> str:
    """The URL without a slash at its end. Raises `ValueError` when it is no HTTP URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"{url!r} is not a server's URL, such as http://127.0.0.1:8080")
    return url.rstrip("/")


def segment(text: str) -> str:
    """A text as one segment of a path."""
    return quote(text, safe="", errors="surrogatepass")
