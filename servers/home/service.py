"""A Home Server without HTTP: the calls of its users. Rule: every change is a command to the writer, and the answer follows the commit."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from domain.errors import Invalid, Rejected, UnknownSession
from domain.event import Event
from domain.events.home import MessageQueued
from domain.mailbox.commands import Acknowledge, MarkDone, Resume
from domain.mailbox.state import MailboxState
from domain.user.commands import LogIn, LogOff, NoteRoute, Send, SetStatus
from domain.user.decide import must_be_open
from domain.user.state import UserState
from projections.by_server import HomeProjections
from runtime.deferred import Deferred, succeeded
from runtime.times import rfc3339
from servers.home.contact_list import ContactList
from servers.home.global_client import GlobalClient
from servers.home.health import Health
from servers.home.housekeeping import Housekeeping
from servers.home.lifecycle import Lifecycle
from servers.security.identity import Identity
from servers.security.rate_limit import RateLimit
from servers.security.tokens import KeyVerifier
from servers.sessions import views
from servers.sessions.blanks import BlankWheel
from servers.sessions.part_bodies import goodbye_part, welcome_part
from servers.sessions.parts import Outlet
from servers.sessions.sessions import Hello, Session, Sessions
from servers.sessions.tickets import Tickets
from servers.writing.writer import Writer

GOODBYE_SPREAD_S = 5.0  # clients of a home that shuts down come back spread over this time
GOODBYE_FIRST_S = 1.0
NEVER_GIVEN = 2**63 - 1  # no mailbox ever reaches this number


@dataclass(slots=True, kw_only=True, eq=False)
class HomeServer:
    """One home's users: their sessions, contacts and messages. Every method may raise `Unavailable`; then nothing has changed."""

    name: str
    url: str
    lifecycle: Lifecycle
    health: Health
    verifier: KeyVerifier
    writer: Writer
    sessions: Sessions
    contacts: ContactList
    projections: HomeProjections
    housekeeping: Housekeeping
    blanks: BlankWheel[Session]
    tickets: Tickets
    global_client: GlobalClient
    sends: RateLimit
    changes: RateLimit
    monotonic: Callable[[], float]
    new_id: Callable[[], str]
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
        for number, session in enumerate(self.sessions):
            after_s = GOODBYE_FIRST_S + GOODBYE_SPREAD_S * (number % 100) / 100
            self._forget(session)
            session.outlet.write((goodbye_part("shutdown", round(after_s, 2)),))
            session.outlet.close()
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
        refused = self.lifecycle.global_client.refused
        return [*self.lifecycle.readiness.warnings(), *([f"This home is not announced: {refused}"] if refused else [])]

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

    async def log_in(self, who: Identity, hello: Hello, outlet: Outlet) -> Session:
        """Begin a session; write `welcome` and the waiting messages. Raises `TooManyRequests`, also for too many sessions."""
        self.changes.take(who.uid)
        session_id = f"{self.lifecycle.life}.{self.new_id()}"
        login = LogIn(
            uid=who.uid,
            cause=session_id,
            handle=who.handle,
            name=who.name,
            session=session_id,
            client=hello.client,
            replaces=hello.resume_session,
        )
        if hello.resume_seq and (hello.resume_session or "").rpartition(".")[0] not in self.lifecycle.known_lives:
            hello = replace(hello, resume_seq=NEVER_GIVEN)  # in another life of this log another message may have had that number
        resume = Resume(uid=who.uid, cause=session_id, session=session_id, seen=hello.resume_seq or 0)

        def begin(events: list[Event]) -> Session:
            return self._begin(login, hello, outlet, self.writer.state(login.stream), self.writer.state(resume.stream))

        try:
            session: Session = await self.writer.submit((login, resume), answer=begin)
        except Rejected:
            raise
        except BaseException:  # the login may be on disk all the same, and then it must be ended there
            self.housekeeping.end(LogOff(uid=who.uid, cause=session_id, session=session_id, reason="lost"))
            raise
        replaced = self.sessions.get(hello.resume_session) if hello.resume_session else None
        if replaced is not None and replaced.uid == who.uid:  # the client knows that this session is dead; this home had not noticed
            self._forget(replaced)
            replaced.outlet.abort()
        return session

    def _begin(self, login: LogIn, hello: Hello, outlet: Outlet, user: UserState, mailbox: MailboxState) -> Session:
        waiting = list(mailbox.waiting.values())
        sent = waiting[0].seq - 1 if waiting else mailbox.last_seq
        must_be_open(user)  # the user may have left for good in the very commit of this login
        count = sum(isinstance(event, MessageQueued) for event in waiting)
        verdict = "replayed" if count else "fresh"
        if hello.resume_seq is not None:
            missed = mailbox.last_seq - hello.resume_seq - sum(event.seq > hello.resume_seq for event in waiting)
            if missed:  # acknowledged on another session, expired, or a number that this home never gave
                verdict = "gap"
        contacts = [self.contacts.view(contact) for contact in user.contacts.values()]
        welcome = welcome_part(login.session, user, self.blanks.interval_s, verdict, count, contacts)
        session = Session(login.session, login.uid, outlet, hello.pong, self.monotonic(), sent)
        self.sessions.add(session)
        self.blanks.add(session)
        outlet.write((welcome,))
        if waiting:
            session.enqueue(waiting)
        return session

    def lost(self, session: Session) -> None:
        """The session's transport is gone."""
        self._end(session, "lost")

    async def log_off(self, who: Identity, session_id: str) -> None:
        """End one of the user's own sessions. A session that is over already stays over."""
        session = self.sessions.get(session_id)
        if session is None or session.uid != who.uid:
            return
        await self.writer.submit((LogOff(uid=who.uid, cause=session_id, session=session_id, reason="logoff"),))
        if self._forget(session):
            session.outlet.write((goodbye_part("logoff", None),))
            session.outlet.close()

    def silent(self, session: Session) -> None:
        """The client has answered no blank for too long: it counts as dead, unless this home has refused its calls meanwhile."""
        if self.closed() is not None:
            session.seen_at = self.monotonic()
        else:
            self._end(session, "timeout")

    def _end(self, session: Session, reason: str) -> None:
        if self._forget(session):
            session.outlet.abort()
            self.housekeeping.end(LogOff(uid=session.uid, cause=session.id, session=session.id, reason=reason))

    def _forget(self, session: Session) -> bool:
        self.blanks.remove(session)
        return self.sessions.remove(session)

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
                return views.Accepted(id, rfc3339(self.writer.state(command.stream).sent[id].at))
            answer = views.Accepted(id, rfc3339(events[0].at))
            if ticket is not None and (stamp := self.tickets.stamp(ticket, command, answer.accepted_at)) is not None:
                answer.stamp, answer.sender = stamp, views.Sender(who.uid, who.handle, who.name)
            return answer

        return self.writer.submit((command,), answer=accepted)

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
        return self.writer.submit((command,), answer=lambda _: session.acked(upto))

    async def done(self, who: Identity, message_id: str) -> None:
        """The user pressed Done. Raises `UnknownMessage`."""
        await self.writer.submit((MarkDone(uid=who.uid, cause=message_id, id=message_id),))

    async def set_status(self, who: Identity, status: str, note: str, until: float | None) -> None:
        """Choose a status. Raises `Invalid` for a time in the past, `TooManyRequests`."""
        self.changes.take(who.uid)
        await self.writer.submit((SetStatus(uid=who.uid, cause=self.new_id(), status=status, note=note, until=until),))

    def offering(self, who: Identity, session_id: str) -> Session:
        """The session for which a client offers a direct line. Raises `UnknownSession`, `TooManyRequests`."""
        self.changes.take(who.uid)
        session = self.sessions.get(session_id)
        if session is None or session.uid != who.uid:
            raise UnknownSession
        return session

    async def note_route(self, who: Identity, session_id: str, why: str | None) -> None:
        """Store why a client cannot be called directly, or None when it can be. Raises `UnknownSession` when the session is over."""
        await self.writer.submit((NoteRoute(uid=who.uid, cause=session_id, session=session_id, why=why),))
        if self.sessions.get(session_id) is None:
            raise UnknownSession
