"""The calls of the Global Server. Rule: one short handler for each; the server decides what is allowed."""

from collections.abc import Sequence
from functools import partial

from domain.errors import BadCredentials, Forbidden, HandleTaken, TooManyRequests, UnknownUser
from domain.profile import PROFILE_FIELDS, clean_handle
from edge.api.home import uid_of
from edge.contracts import requests
from edge.contracts.servers import Global
from edge.http.client_address import TrustedProxies
from edge.http.messages import NO_CONTENT, Answer, Call, answer_json
from edge.http.route import Gate, Route
from servers.global_server import views

USER = {200: views.User}


class GlobalRoutes:
    """Handlers for the Global Server."""

    def __init__(self, server: Global, proxies: TrustedProxies) -> None:
        self._server = server
        self._proxies = proxies

    async def register(self, call: Call) -> Answer:
        """Register."""
        body: requests.Register = call.body
        address = self._proxies.client_of(call)
        handle, profile, separate = clean_handle(body.handle), _plain(body.profile), body.separate_tokens
        return answer_json(201, await self._server.register(handle, body.password, profile, address, separate_tokens=separate))

    async def token(self, call: Call) -> Answer:
        """Get a token."""
        body: requests.Credentials = call.body
        address = self._proxies.client_of(call)
        grant = await self._server.token(body.handle.lower(), body.password, address, separate_tokens=body.separate_tokens)
        return answer_json(200, grant)

    async def search(self, call: Call) -> Answer:
        """Find users by words in their profiles."""
        query: requests.SearchPage = call.query
        fields = {name: value for name in PROFILE_FIELDS if (value := getattr(query, name))}
        return answer_json(200, await self._server.search(call.identity, query.q, fields, query.limit, query.cursor))

    async def user(self, call: Call) -> Answer:
        """A user by number."""
        return answer_json(200, await self._server.user(call.identity, uid_of(call)))

    async def user_by_handle(self, call: Call) -> Answer:
        """A user by login name."""
        handle = call.path["handle"]
        if len(handle) > 32:
            raise UnknownUser
        return answer_json(200, await self._server.user_by_handle(call.identity, handle.lower()))

    async def change_profile(self, call: Call) -> Answer:
        """Change my profile."""
        return answer_json(200, await self._server.change_profile(call.identity, _plain(call.body.profile)))

    async def erase_me(self, call: Call) -> Answer:
        """Close my account for good; what I wrote is unreadable from then on."""
        body: requests.EraseMe = call.body
        await self._server.erase_me(call.identity, body.password, self._proxies.client_of(call))
        return NO_CONTENT

    async def erase(self, call: Call) -> Answer:
        """Close somebody's account for good; for the role ops."""
        await self._server.erase(call.identity, uid_of(call))
        return NO_CONTENT


def _plain(profile: requests.ProfileChanges) -> dict[str, str | None]:
    return {str(name): text for name, text in profile.items()}


def global_routes(server: Global, gate: Gate, proxies: TrustedProxies) -> Sequence[Route]:
    """Every call of the Global Server, as `docs/protocol.md` lists them."""
    on = GlobalRoutes(server, proxies)
    guarded = partial(Route, gate=gate)
    return [
        Route("POST", "/v1/users", on.register, {201: views.Grant}, requests.Register, (HandleTaken, TooManyRequests)),
        Route("POST", "/v1/tokens", on.token, {200: views.Grant}, requests.Credentials, (BadCredentials, TooManyRequests)),
        guarded("GET", "/v1/users", on.search, {200: views.Users}, query=requests.Search, refusals=(TooManyRequests,)),
        guarded("PATCH", "/v1/users/me", on.change_profile, USER, requests.ChangeProfile, (UnknownUser, TooManyRequests)),
        guarded("POST", "/v1/users/me/erase", on.erase_me, {204: None}, requests.EraseMe, (BadCredentials, TooManyRequests)),
        # This one stands before the paths with a uid in that place, because a handle may be "erase".
        guarded("GET", "/v1/users/by-handle/{handle}", on.user_by_handle, USER, None, (UnknownUser, TooManyRequests)),
        guarded("POST", "/v1/users/{uid}/erase", on.erase, {204: None}, requests.Erase, (Forbidden, UnknownUser)),
        guarded("GET", "/v1/users/{uid}", on.user, USER, None, (UnknownUser, TooManyRequests)),
    ]
