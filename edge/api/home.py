"""The calls of a Home Server. Rule: one short handler for each; what is allowed is decided by the home."""

from collections.abc import Sequence
from functools import partial

from domain.errors import (
    Conflict,
    Invalid,
    NotAContact,
    NotYourHome,
    TooLarge,
    TooManyRequests,
    Unavailable,
    UnknownMessage,
    UnknownSession,
    UnknownUser,
)
from edge.contracts import answers, requests
from edge.contracts.servers import Home
from edge.http.auth import Gate
from edge.http.messages import NO_CONTENT, Answer, Call, answer_json, encode_json
from edge.http.problems import problem, problem_for
from edge.http.route import Route
from edge.transports.back_connection import BackConnection, BackConnections
from edge.transports.framing import framing_for
from edge.transports.long_poll import LongPolls
from runtime.deferred import Deferred
from runtime.times import rfc3339
from servers.sessions.sessions import Hello

STREAM = ("multipart/x-mixed-replace", "text/event-stream")


class HomeRoutes:
    """Handlers for one home."""

    def __init__(self, home: Home, back_connections: BackConnections) -> None:
        self._home = home
        self._back_connections = back_connections

    async def back_connection(self, call: Call) -> Answer:
        """Log in; the response goes on for as long as the session. Its answer here is only counted, the connection is handed over."""
        body: requests.OpenBackConnection = call.body
        resume = body.resume
        # 0 is what a client says that has no number yet: it does not resume.
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
        """The contact list."""
        return answer_json(200, {"contacts": await self._home.contacts(call.identity)})

    async def put_contact(self, call: Call) -> Answer:
        """Add or change a contact."""
        body: requests.PutContact = call.body
        created, contact = await self._home.put_contact(call.identity, uid_of(call), body.alias, body.notify)
        return answer_json(201 if created else 200, contact)

    async def remove_contact(self, call: Call) -> Answer:
        """Take a contact off the list."""
        await self._home.remove_contact(call.identity, uid_of(call))
        return NO_CONTENT

    def send(self, call: Call) -> Deferred[Answer]:
        """Accept a message: it is on disk when this answers."""
        body: requests.SendMessage = call.body
        sent = (call.identity, body.id, body.to, body.text, body.in_reply_to, body.urgent)
        if body.ticket is not None:
            return self._home.send_stamped(*sent, body.ticket).map(partial(answer_json, 202))
        return self._home.send(*sent).map(lambda at: _accepted(body.id, at))

    def acknowledge(self, call: Call) -> Deferred[Answer]:
        """Take note of what has arrived."""
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


def _accepted(id: str, at: float) -> Answer:
    return Answer(202, b'{"id":%b,"accepted_at":"%b"}' % (encode_json(id), rfc3339(at).encode()))


def _no_content(_: None) -> Answer:
    return NO_CONTENT


def uid_of(call: Call) -> int:
    """The uid in the path. Raises `Invalid`."""
    text = call.path["uid"]
    if not (text.isascii() and text.isdecimal() and len(text) <= 19 and 1 <= int(text) <= requests.BIGGEST):
        raise Invalid("uid", "a whole number from 1 up")
    return int(text)


def home_routes(home: Home, gate: Gate, back_connections: BackConnections, long_polls: LongPolls) -> Sequence[Route]:
    """Every call of PROTOCOL's "Home Server", each behind `gate`."""
    on = HomeRoutes(home, back_connections)
    route = partial(Route, gate=gate)
    everywhere = (NotYourHome, Unavailable)
    return [
        route(
            "POST",
            "/v1/back-connection",
            on.back_connection,
            "Log in; the answer is an endless stream of parts.",
            {200: STREAM},
            body=requests.OpenBackConnection,
            body_optional=True,
            refusals=(*everywhere, Invalid, TooManyRequests),
        ),
        route(
            "POST",
            "/v1/parts",
            long_polls.answer,
            "Fetch parts, where streams are held back; opens the session when there is none, and acknowledges.",
            {200: answers.Parts},
            body=requests.Poll,
            body_optional=True,
            refusals=(*everywhere, UnknownSession, Invalid, TooManyRequests),
        ),
        route(
            "POST",
            "/v1/logoff",
            on.log_off,
            "End a session.",
            {204: None},
            body=requests.LogOff,
            refusals=(*everywhere, UnknownSession, Invalid),
        ),
        route("GET", "/v1/contacts", on.contacts, "My contacts and how they stand.", {200: answers.Contacts}, refusals=everywhere),
        route(
            "PUT",
            "/v1/contacts/{uid}",
            on.put_contact,
            "Add a contact, or change its alias and whether to notify.",
            {201: answers.Contact, 200: answers.Contact},
            body=requests.PutContact,
            body_optional=True,
            refusals=(*everywhere, UnknownUser, Invalid, TooManyRequests),
        ),
        route(
            "DELETE",
            "/v1/contacts/{uid}",
            on.remove_contact,
            "Take a contact off the list.",
            {204: None},
            refusals=(*everywhere, UnknownUser, Invalid, TooManyRequests),
        ),
        route(
            "POST",
            "/v1/messages",
            on.send,
            "Send a popup to a contact. The same id again sends nothing twice.",
            {202: answers.Accepted},
            body=requests.SendMessage,
            synchronous=True,
            refusals=(*everywhere, NotAContact, Conflict, TooLarge, Invalid, TooManyRequests),
        ),
        route(
            "POST",
            "/v1/acks",
            on.acknowledge,
            "Everything up to a number has arrived; also the sign of life after a blank.",
            {204: None},
            body=requests.Acknowledge,
            synchronous=True,
            refusals=(*everywhere, UnknownSession, Invalid),
        ),
        route(
            "POST",
            "/v1/messages/{id}/done",
            on.done,
            "The recipient pressed Done.",
            {204: None},
            body=requests.Done,
            body_optional=True,
            refusals=(*everywhere, UnknownMessage),
        ),
        route(
            "PUT",
            "/v1/status",
            on.set_status,
            "Choose a status.",
            {204: None},
            body=requests.SetStatus,
            refusals=(*everywhere, Invalid, TooManyRequests),
        ),
    ]
