"""The calls of the Global Server. Rule: one short handler for each; what is allowed is decided by the server."""

from collections.abc import Sequence

from domain.errors import BadCredentials, Forbidden, HandleTaken, Invalid, TooManyRequests, Unavailable, UnknownUser
from domain.profile import PROFILE_FIELDS, clean_handle
from edge.api.home import uid_of
from edge.contracts import answers, requests
from edge.contracts.servers import Global
from edge.http.auth import Gate
from edge.http.client_address import TrustedProxies
from edge.http.messages import NO_CONTENT, Answer, Call, answer_json
from edge.http.route import Route


class GlobalRoutes:
    """Handlers for the Global Server."""

    def __init__(self, server: Global, proxies: TrustedProxies) -> None:
        self._server = server
        self._proxies = proxies

    async def register(self, call: Call) -> Answer:
        """A new user."""
        body: requests.Register = call.body
        address = self._proxies.client_of(call)
        return answer_json(201, await self._server.register(clean_handle(body.handle), body.password, _plain(body.profile), address))

    async def token(self, call: Call) -> Answer:
        """A token for a known user."""
        body: requests.Credentials = call.body
        address = self._proxies.client_of(call)
        return answer_json(200, await self._server.token(body.handle.lower(), body.password, address))

    async def search(self, call: Call) -> Answer:
        """Find users."""
        query: requests.Search = call.query
        fields = {name: value for name in PROFILE_FIELDS if (value := getattr(query, name))}
        users, cursor = await self._server.search(call.identity, query.q, fields, query.limit, query.cursor)
        return answer_json(200, {"users": users, "next": cursor})

    async def user(self, call: Call) -> Answer:
        """One user by number."""
        return answer_json(200, await self._server.user(call.identity, uid_of(call)))

    async def user_by_handle(self, call: Call) -> Answer:
        """One user by login name."""
        handle = call.path["handle"]
        if len(handle) > 32:
            raise UnknownUser
        return answer_json(200, await self._server.user_by_handle(call.identity, handle.lower()))

    async def change_profile(self, call: Call) -> Answer:
        """Change what I say about myself."""
        return answer_json(200, await self._server.change_profile(call.identity, _plain(call.body.profile)))

    async def erase_me(self, call: Call) -> Answer:
        """Leave for good."""
        body: requests.EraseMe = call.body
        await self._server.erase_me(call.identity, body.password, self._proxies.client_of(call))
        return NO_CONTENT

    async def erase(self, call: Call) -> Answer:
        """Let somebody leave for good."""
        await self._server.erase(call.identity, uid_of(call))
        return NO_CONTENT


def _plain(profile: requests.ProfileChanges) -> dict[str, str | None]:
    return {str(name): text for name, text in profile.items()}


def global_routes(server: Global, gate: Gate, proxies: TrustedProxies) -> Sequence[Route]:
    """Every call of PROTOCOL's "Global Server"."""
    on = GlobalRoutes(server, proxies)
    return [
        Route(
            "POST",
            "/v1/users",
            on.register,
            "Register.",
            {201: answers.Grant},
            body=requests.Register,
            refusals=(HandleTaken, Invalid, TooManyRequests, Unavailable),
        ),
        Route(
            "POST",
            "/v1/tokens",
            on.token,
            "Get a token.",
            {200: answers.Grant},
            body=requests.Credentials,
            refusals=(BadCredentials, Invalid, TooManyRequests, Unavailable),
        ),
        Route(
            "GET",
            "/v1/users",
            on.search,
            "Find users by words in their profiles.",
            {200: answers.Users},
            gate=gate,
            query=requests.Search,
            refusals=(Invalid, TooManyRequests, Unavailable),
        ),
        Route(
            "PATCH",
            "/v1/users/me",
            on.change_profile,
            "Change my profile.",
            {200: answers.User},
            gate=gate,
            body=requests.ChangeProfile,
            refusals=(Invalid, UnknownUser, TooManyRequests, Unavailable),
        ),
        Route(
            "POST",
            "/v1/users/me/erase",
            on.erase_me,
            "Close my account for good; what I wrote is unreadable from then on.",
            {204: None},
            gate=gate,
            body=requests.EraseMe,
            refusals=(BadCredentials, Invalid, TooManyRequests, Unavailable),
        ),
        Route(  # before what has a uid in that place: a handle may be "erase"
            "GET",
            "/v1/users/by-handle/{handle}",
            on.user_by_handle,
            "A user by login name.",
            {200: answers.User},
            gate=gate,
            refusals=(UnknownUser, TooManyRequests, Unavailable),
        ),
        Route(
            "POST",
            "/v1/users/{uid}/erase",
            on.erase,
            "Close somebody's account for good; for the role ops.",
            {204: None},
            gate=gate,
            body=requests.Erase,
            body_optional=True,
            refusals=(Forbidden, Invalid, UnknownUser, Unavailable),
        ),
        Route(
            "GET",
            "/v1/users/{uid}",
            on.user,
            "A user by number.",
            {200: answers.User},
            gate=gate,
            refusals=(UnknownUser, Invalid, TooManyRequests, Unavailable),
        ),
    ]
