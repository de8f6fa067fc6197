"""The calls of a Home Server. Rule: one short handler for each; the home decides what is allowed."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from domain.errors import (
    Conflict,
    FlashError,
    Invalid,
    NotAContact,
    NotYourHome,
    TooManyRequests,
    Unavailable,
    UnknownMessage,
    UnknownSession,
    UnknownUser,
)
from domain.values import BIGGEST
from edge.contracts import answers, requests
from edge.contracts.servers import Home
from edge.http.messages import NO_CONTENT, Answer, Call, answer_json
from edge.http.problems import problem, problem_for
from edge.http.route import Gate, Handler, Route
from edge.transports.back_connection import BackConnection, BackConnections
from edge.transports.framing import framing_for
from edge.transports.long_poll import LongPolls
from runtime.deferred import Deferred
from servers.sessions import views
from servers.sessions.sessions import Hello

STREAM = ("multipart/x-mixed-replace", "text/event-stream")
CONTACT = {201: views.Contact, 200: views.Contact}


class HomeRoutes:
    """Handlers for one home."""

    def __init__(self, home: Home, back_connections: BackConnections) -> None:
        self._home = home
        self._back_connections = back_connections

    async def back_connection(self, call: Call) -> Answer:
        """Log in; the answer is an endless stream of parts.

        The connection is handed over, so the answer that this returns is only counted.
        """
        body: requests.OpenBackConnection = call.body
        resume = body.resume
        # A client that has no number yet says 0; it does not resume.
        hello = Hello(body.client, body.pong, resume.session if resume else None, (resume.seq or None) if resume else None)
        back = BackConnection(self._back_connections, framing_for(call.headers.get("Accept", "")))
        if not call.connection.detach_to(back):
            return problem(Unavailable("The client has gone."))
        try:
            session = await self._home.log_in(call.identity, hello, back)
        except Exception as error:
            answer, _ = problem_for(error, "POST /v1/back-connection")
            back.refuse(answer)
            return answer
        except BaseException:
            back.abort()
            raise
        back.opened(session)
        return Answer(200)

    async def log_off(self, call: Call) -> Answer:
        """End a session."""
        await self._home.log_off(call.identity, call.body.session)
        return NO_CONTENT

    async def contacts(self, call: Call) -> Answer:
        """My contacts and how they stand."""
        listing = await self._home.contacts.read(call.identity)
        whole = await listing.whole()
        return Answer(200, whole) if whole is not None else Answer(200, source=listing)

    async def put_contact(self, call: Call) -> Answer:
        """Add a contact, or change its alias and whether to notify."""
        body: requests.PutContact = call.body
        created, contact = await self._home.contacts.put(call.identity, uid_of(call), body.alias, body.notify)
        return answer_json(201 if created else 200, contact)

    async def remove_contact(self, call: Call) -> Answer:
        """Take a contact off the list."""
        await self._home.contacts.remove(call.identity, uid_of(call))
        return NO_CONTENT

    def send(self, call: Call) -> Deferred[Answer]:
        """Send a popup to a contact. The same id again sends nothing twice.

        The message is on disk when this answers.
        """
        body: requests.SendMessage = call.body
        sent = self._home.send(call.identity, body.id, body.to, body.text, body.in_reply_to, body.urgent, body.ticket)
        return sent.map(_accepted)

    def acknowledge(self, call: Call) -> Deferred[Answer]:
        """Everything up to a number has arrived; also the sign of life after a blank."""
        return self._home.acknowledge(call.identity, call.body.session, call.body.upto).map(_no_content)

    async def done(self, call: Call) -> Answer:
        """The recipient pressed Done."""
        message_id = call.path["id"]
        if len(message_id) > 64:
            raise UnknownMessage
        await self._home.done(call.identity, message_id)
        return NO_CONTENT

    async def set_status(self, call: Call) -> Answer:
        """Choose a status."""
        body: requests.SetStatus = call.body
        until = body.until.timestamp() if body.until is not None else None
        await self._home.set_status(call.identity, body.status, body.note, until)
        return NO_CONTENT


_accepted = partial(answer_json, 202)


def _no_content(_: None) -> Answer:
    return NO_CONTENT


def uid_of(call: Call) -> int:
    """The uid in the path. Raises `Invalid`."""
    text = call.path["uid"]
    if not (text.isascii() and text.isdecimal() and len(text) <= 19 and 1 <= int(text) <= BIGGEST):
        raise Invalid("uid", "a whole number from 1 up")
    return int(text)


def home_routes(home: Home, gate: Gate, back_connections: BackConnections, long_polls: LongPolls) -> Sequence[Route]:
    """Every call of a Home Server, as `docs/protocol.md` lists them, each behind `gate`."""
    on = HomeRoutes(home, back_connections)
    poll = long_polls.answer

    def route(
        method: str,
        path: str,
        handle: Handler,
        success: Mapping[int, Any],
        body: type[requests.Request] | None,
        *refusals: type[FlashError],
    ) -> Route:
        return Route(method, path, handle, success, body, (NotYourHome, *refusals), gate=gate, waits=handle is poll)

    return [
        route("POST", "/v1/back-connection", on.back_connection, {200: STREAM}, requests.OpenBackConnection, TooManyRequests),
        route("POST", "/v1/parts", poll, {200: answers.Parts}, requests.Poll, UnknownSession, TooManyRequests),
        route("POST", "/v1/logoff", on.log_off, {204: None}, requests.LogOff),
        route("GET", "/v1/contacts", on.contacts, {200: answers.Contacts}, None, TooManyRequests),
        route("PUT", "/v1/contacts/{uid}", on.put_contact, CONTACT, requests.PutContact, UnknownUser, TooManyRequests),
        route("DELETE", "/v1/contacts/{uid}", on.remove_contact, {204: None}, None, TooManyRequests),
        route("POST", "/v1/messages", on.send, {202: views.Accepted}, requests.SendMessage, NotAContact, Conflict, TooManyRequests),
        route("POST", "/v1/acks", on.acknowledge, {204: None}, requests.Acknowledge, UnknownSession),
        route("POST", "/v1/messages/{id}/done", on.done, {204: None}, requests.Done, UnknownMessage),
        route("PUT", "/v1/status", on.set_status, {204: None}, requests.SetStatus, TooManyRequests),
    ]
