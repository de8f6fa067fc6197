"""A Home Server without HTTP: the calls of its users. Rule: every change is a command to the writer, and the answer follows the commit."""

from dataclasses import dataclass, field

from domain.errors import Invalid, UnknownSession
from domain.event import Event
from domain.mailbox.commands import Acknowledge, MarkDone
from domain.user.commands import NoteRoute, Send, SetStatus
from runtime.deferred import Deferred, succeeded
from runtime.scheduler import Scheduler
from runtime.times import rfc3339
from servers.fairness.load import Load
from servers.fairness.throttling import Throttling
from servers.home import work
from servers.home.global_client import GlobalClient
from servers.home.health import Health
from servers.home.logins import Logins
from servers.security.identity import Identity
from servers.security.rate_limit import RateLimit
from servers.security.tokens import KeyVerifier
from servers.sessions import views
from servers.sessions.part_bodies import goodbye_part
from servers.sessions.session import Session
from servers.sessions.tickets import Tickets

GOODBYE_SPREAD_S = 5.0  # clients of a home that shuts down come back spread over this time
GOODBYE_FIRST_S = 1.0


@dataclass(slots=True, kw_only=True, eq=False)
class HomeServer(Logins):
    """One home's users: their sessions, contacts and messages. Every method may raise `Unavailable`; then nothing has changed."""

    name: str
    url: str
    health: Health
    verifier: KeyVerifier
    tickets: Tickets
    global_client: GlobalClient
    sends: RateLimit
    statuses: RateLimit
    scheduler: Scheduler
    load: Load
    throttling: Throttling
    _stopping: bool = field(default=False, init=False)

    @property
    def blank_s(self) -> float:
        """The blank interval."""
        return self.blanks.interval_s

    async def start(self) -> None:
        """Open the store, catch up and begin to work. Returns when users may come."""
        await self.lifecycle.start()

    async def stop(self) -> None:
        """Say goodbye to every session, then finish what was begun. Nothing that was accepted is lost."""
        self._stopping = True
        try:
            for number, session in enumerate(self.sessions):
                after_s = GOODBYE_FIRST_S + GOODBYE_SPREAD_S * (number % 100) / 100
                self.forget(session)
                session.outlet.write((goodbye_part("shutdown", round(after_s, 2)),))
                session.outlet.close()
        finally:  # whatever a transport says, what was accepted is committed and sent
            await self.lifecycle.stop()

    def ready(self) -> str | None:
        """None when users can be served, else why not."""
        if self._stopping:
            return "This home is shutting down."
        if (closed := self.closed()) is not None:
            return closed
        if (why := self.lifecycle.readiness.why_not()) is not None:
            return why
        return None if self.verifier.has_keys else "The Global Server's public key is not known yet."

    def warnings(self) -> list[str]:
        """What is wrong elsewhere, one sentence each."""
        found = list(self.lifecycle.readiness.warnings())
        if self.given_twice:
            found.append(
                f"{self.given_twice} times somebody came under a number or a handle that is somebody else's here, and was refused: the "
                "Global Server gave it to two people. Ask its ops."
            )
        if refused := self.lifecycle.global_client.refused:
            found.append(f"This home is not announced: {refused}")
        return found

    @property
    def given_twice(self) -> int:
        """How many tokens and words were refused since the start because they give somebody's number or handle to somebody else."""
        return self.verifier.strangers + self.lifecycle.words.twice

    def closed(self) -> str | None:
        """None when calls may come in, else why not: a process that may not write must not answer either."""
        lease = self.lifecycle.lease
        if lease is not None and (why_not := lease.why_not()) is not None:
            return why_not
        return self.lifecycle.keeper.waits or (None if self.lifecycle.started else "This home is starting.")

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return self.lifecycle.idle

    def silent(self, session: Session) -> None:
        """The client has answered no blank for too long: it counts as dead, unless this home has refused its calls meanwhile."""
        if self.closed() is not None:
            session.seen_at = self.monotonic()
        else:
            self.end(session, "timeout")

    def send(
        self, who: Identity, id: str, to: int, text: str, in_reply_to: str | None, urgent: bool, ticket: str | None = None
    ) -> Deferred[views.Accepted]:
        """Accept a popup. A repeated id gets the first answer. With a `ticket` the answer has a stamp for the recipient's client; it has
        none for a repeat, whose text may be another one, and none when the ticket is over or is for other users. Raises `NotAContact`,
        `TooLarge`, `TooManyRequests`."""
        self.sends.take(who.uid)
        handle, name = who.handle, who.name
        command = Send(uid=who.uid, cause=id, id=id, handle=handle, name=name, to=to, text=text, in_reply_to=in_reply_to, urgent=urgent)

        def accepted(events: list[Event]) -> views.Accepted:
            if not events:
                at, _ = self.writer.state(command.stream).sent.get(id)
                return views.Accepted(id, rfc3339(at))
            answer = views.Accepted(id, rfc3339(events[0].at))
            if ticket is not None and (stamp := self.tickets.stamp(ticket, command, answer.accepted_at)) is not None:
                answer.stamp, answer.sender = stamp, views.Sender(who.uid, who.handle, who.name)
            return answer

        return self.writer.submit((command,), answer=accepted, lane=who.uid, size=len(text))

    async def issue_ticket(self, who: Identity, to: int, address: str) -> views.Ticket:
        """The direct way to a contact for a sender who is seen at `address`. Raises `NoRoute`, `TooManyRequests`."""
        self.changes.take(who.uid)
        return await self.tickets.issue(who.uid, to, address)

    def acknowledge(self, who: Identity, session_id: str, upto: int) -> Deferred[None]:
        """The session's client has received everything up to `upto`, and is alive. Raises `UnknownSession`, `Invalid`."""
        session = self.sessions.get(session_id)
        if session is None or session.uid != who.uid:
            raise UnknownSession
        session.seen_at = self.monotonic()
        if upto > session.sent:
            raise Invalid("upto", f"a number up to {session.sent}, the last one sent to this session")
        if upto <= session.acked_upto:
            return succeeded(None)
        command = Acknowledge(uid=who.uid, cause=session_id, session=session_id, upto=upto)
        return self.writer.submit((command,), answer=lambda _: session.acked(upto), lane=who.uid)

    async def done(self, who: Identity, message_id: str) -> None:
        """The user pressed Done. Raises `UnknownMessage`."""
        await self.writer.submit((MarkDone(uid=who.uid, cause=message_id, id=message_id),), lane=who.uid)

    async def set_status(self, who: Identity, status: str, note: str, until: float | None) -> None:
        """Choose a status. Raises `Invalid` for a time in the past, `TooManyRequests`."""
        self.statuses.take(who.uid, work.telling(self.projections.contacters, who.uid))
        if work.is_large(self.projections.contacters, who.uid):
            await self.writer.states.warm(f"user-{who.uid}")
        command = SetStatus(uid=who.uid, cause=self.new_id(), status=status, note=note, until=until)
        await self.writer.submit((command,), lane=who.uid)

    def offering(self, who: Identity, session_id: str) -> Session:
        """The session for which a client offers a direct line. Raises `UnknownSession`, `TooManyRequests`."""
        self.changes.take(who.uid)
        session = self.sessions.get(session_id)
        if session is None or session.uid != who.uid or session.welcome is not None:
            raise UnknownSession
        return session

    async def note_route(self, who: Identity, session_id: str, why: str | None) -> None:
        """Store why a client cannot be called directly, or None when it can be. Raises `UnknownSession` when the session is over."""
        await self.writer.submit((NoteRoute(uid=who.uid, cause=session_id, session=session_id, why=why),), lane=who.uid)
        if self.sessions.get(session_id) is None:
            raise UnknownSession
