"""The addresses of the ops console. Rule: all but the way in and the static files are behind a gate; what changes something is a POST."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from domain.errors import Forbidden, Invalid, Unavailable
from edge.console import forms as requests
from edge.console.contract import Console
from edge.console.events import EventsPages
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


def console_routes(console: Console, verifier: Verifier, proxies: TrustedProxies, public_url: str) -> Sequence[Route]:
    """Every page. `public_url`: where clients reach this server."""
    address = urlsplit(public_url)
    origin = f"{address.scheme}://{address.netloc}"
    reading, changing = reading_gate(console, verifier), changing_gate(console, verifier, origin)
    door, servers = SigningIn(console, verifier, proxies, origin), ServerPages(console)

    def show(path: str, handle: Handler, summary: str, query: type | None = None, media: str = "text/html") -> Route:
        return Route(
            "GET",
            path,
            handle,
            summary,
            {200: (media,)},
            gate=reading,
            query=query,
            refusals=(Forbidden, Invalid, Unavailable),
            page=refuse,
        )

    def change(path: str, handle: Handler, summary: str) -> Route:
        body = requests.OneLetter
        return Route(
            "POST", path, handle, summary, GO_ON, gate=changing, body=body, refusals=(Forbidden, Invalid, Unavailable), page=refuse
        )

    return [
        show("/ops", EventsPages(console).show, "Events, with filters.", requests.Events),
        show("/ops/tail", Tails(console).show, "Events as they come.", requests.Events, "text/event-stream"),
        show("/ops/user", UserPages(console).show, "One user.", requests.OneUser),
        show("/ops/trace", TracePages(console).show, "One popup's life.", requests.OneMessage),
        show("/ops/presence", PresencePages(console).show, "Who is or was online.", requests.Moment),
        show("/ops/homes", servers.homes, "The servers and how they are."),
        show("/ops/dead", servers.dead, "Dead letters.", requests.DeadPage),
        change("/ops/dead/requeue", servers.requeue, "Put dead letters back."),
        change("/ops/dead/drop", servers.drop, "Throw a dead letter away."),
        Route("GET", "/ops/login", door.show, "The way in.", PAGE, query=requests.SignInPage, page=refuse),
        Route("POST", "/ops/login", door.sign_in, "Sign in.", GO_ON, body=requests.SignIn, refusals=(Forbidden, Unavailable), page=refuse),
        Route("POST", "/ops/logout", door.sign_out, "Sign out.", GO_ON, refusals=(Forbidden,), page=refuse),
        Route("GET", "/ops/static/{name}", serve_static, "Style, script, picture.", PAGE, any_query=True, page=refuse),
    ]
