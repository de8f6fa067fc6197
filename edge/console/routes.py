"""The addresses of the ops console.

Rule: every page but the sign-in form and the static files is behind a gate, and every change is a POST.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

from edge.console import forms as requests
from edge.console.contract import Console
from edge.console.events import EventsPages
from edge.console.heavy_use import HeavyPages
from edge.console.live_tail import Tails
from edge.console.page import serve_static
from edge.console.presence import PresencePages
from edge.console.servers import ServerPages
from edge.console.sign_in import SigningIn, changing_gate, reading_gate, refuse
from edge.console.trace import TracePages
from edge.console.user import UserPages
from edge.contracts.servers import Verifier
from edge.http.client_address import TrustedProxies
from edge.http.route import Handler, Route

PAGE = {200: ("text/html",)}
GO_ON = {303: None}


def console_routes(
    console: Console, verifier: Verifier, proxies: TrustedProxies, public_url: str, tails: Tails | None = None
) -> Sequence[Route]:
    """Every page. `public_url`: where clients reach this server; `tails`: those that are open."""
    address = urlsplit(public_url)
    origin = f"{address.scheme}://{address.netloc}"
    reading, changing = reading_gate(console, verifier), changing_gate(console, verifier, origin)
    door, servers = SigningIn(console, verifier, proxies, origin), ServerPages(console)
    heavy = HeavyPages(console)

    def show(path: str, handle: Handler, query: type | None = None, media: str = "text/html") -> Route:
        return Route("GET", path, handle, {200: (media,)}, gate=reading, query=query, page=refuse)

    def change(path: str, handle: Handler, form: type = requests.OneLetter) -> Route:
        return Route("POST", path, handle, GO_ON, form, gate=changing, page=refuse)

    return [
        show("/ops", EventsPages(console).show, requests.Events),
        show("/ops/tail", (tails or Tails(console)).show, requests.Events, "text/event-stream"),
        show("/ops/user", UserPages(console).show, requests.OneUser),
        show("/ops/trace", TracePages(console).show, requests.OneMessage),
        show("/ops/presence", PresencePages(console).show, requests.Moment),
        show("/ops/homes", servers.homes),
        change("/ops/homes/revoke", servers.revoke, requests.OneHome),
        show("/ops/heavy", heavy.show),
        change("/ops/heavy/throttle", heavy.throttle, requests.Throttle),
        change("/ops/heavy/end", heavy.end, requests.EndThrottle),
        show("/ops/dead", servers.dead, requests.DeadPage),
        change("/ops/dead/requeue", servers.requeue),
        change("/ops/dead/drop", servers.drop),
        Route("GET", "/ops/login", door.show, PAGE, query=requests.SignInPage, page=refuse),
        Route("POST", "/ops/login", door.sign_in, GO_ON, requests.SignIn, page=refuse),
        Route("POST", "/ops/logout", door.sign_out, GO_ON, page=refuse),
        Route("GET", "/ops/static/{name}", serve_static, PAGE, any_query=True, page=refuse),
    ]
