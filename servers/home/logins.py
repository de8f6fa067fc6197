"""How the sessions of a home begin and end. Rule: a session is on disk before its client hears of it, and ends once."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from domain.errors import Rejected, Unavailable
from domain.event import Event
from domain.mailbox.commands import Resume
from domain.mailbox.state import MailboxState
from domain.user.commands import LogIn, LogOff
from domain.user.decide import must_be_open
from domain.user.state import UserState
from projections.by_server import HomeProjections
from runtime.scheduler import Jobs
from servers.home import work
from servers.home.contact_list import ContactList
from servers.home.housekeeping import Housekeeping
from servers.home.lifecycle import Lifecycle
from servers.security.identity import Identity
from servers.security.rate_limit import RateLimit
from servers.sessions.blanks import BlankWheel
from servers.sessions.pages import Pages
from servers.sessions.part_bodies import goodbye_part, welcome_head
from servers.sessions.parts import Outlet
from servers.sessions.session import Session
from servers.sessions.sessions import Hello, Sessions
from servers.sessions.welcome import Welcome
from servers.writing.writer import Writer

NEVER_GIVEN = 2**63 - 1  # no mailbox ever reaches this number


@dataclass(slots=True, kw_only=True, eq=False)
class Logins:
    """What a home needs to let users in and out. Every method may raise `Unavailable`; then nothing has changed."""

    lifecycle: Lifecycle
    writer: Writer
    sessions: Sessions
    contacts: ContactList
    projections: HomeProjections
    housekeeping: Housekeeping
    blanks: BlankWheel[Session]
    changes: RateLimit
    monotonic: Callable[[], float]
    new_id: Callable[[], str]
    jobs: Jobs
    pages: Pages

    async def log_in(self, who: Identity, hello: Hello, outlet: Outlet) -> Session:
        """Begin a session; write `welcome` and the waiting messages, as far as the client takes them. Raises `TooManyRequests`, also for
        too many sessions."""
        index = self.projections.contacters
        self.changes.take(who.uid, work.reading(index, who.uid) + work.telling(index, who.uid))
        if work.is_large(index, who.uid):
            await self.writer.states.warm(f"user-{who.uid}")
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
            session: Session = await self.writer.submit((login, resume), answer=begin, lane=who.uid)
        except Rejected:
            raise
        except BaseException:  # the login may be on disk all the same, and then it must be ended there
            if (begun := self.sessions.get(session_id)) is not None:  # whoever called was cancelled in this very moment
                self.end(begun, "lost")
            else:
                self.housekeeping.end(LogOff(uid=who.uid, cause=session_id, session=session_id, reason="lost"))
            raise
        replaced = self.sessions.get(hello.resume_session) if hello.resume_session else None
        if replaced is not None and replaced.uid == who.uid:  # the client knows that this session is dead; this home had not noticed
            self.forget(replaced)
            replaced.outlet.abort()
        try:
            if session.welcome is not None:
                await session.welcome.begun
            if session.page is not None:
                with suppress(Unavailable):  # it is read again in a moment
                    await session.page
        except BaseException:
            self.end(session, "lost")
            raise
        return session

    def _begin(self, login: LogIn, hello: Hello, outlet: Outlet, user: UserState, mailbox: MailboxState) -> Session:
        waiting = list(mailbox.waiting.values())
        sent = waiting[0].seq - 1 if waiting else mailbox.last_seq
        must_be_open(user)  # the user may have left for good in the very commit of this login
        count = mailbox.messages
        verdict = "replayed" if count else "fresh"
        if hello.resume_seq is not None:
            missed = mailbox.last_seq - hello.resume_seq - sum(each.seq > hello.resume_seq for each in waiting)
            if missed:  # acknowledged on another session, expired, or a number that this home never gave
                verdict = "gap"
        head = welcome_head(login.session, user, self.blanks.interval_s, verdict, count)
        session = Session(login.session, login.uid, outlet, hello.pong, self.monotonic(), sent, self.pages)
        welcome = Welcome(outlet, head, dict(user.contacts), self.contacts.notifier.shown, session.welcomed)
        session.await_welcome(welcome)
        self.sessions.add(session)
        self.blanks.add(session)
        session.begin(waiting)
        welcome.start(self.jobs, login.uid)
        return session

    def lost(self, session: Session) -> None:
        """The session's transport is gone."""
        self.end(session, "lost")

    async def log_off(self, who: Identity, session_id: str) -> None:
        """End one of the user's own sessions. A session that is over already stays over."""
        session = self.sessions.get(session_id)
        if session is None or session.uid != who.uid:
            return
        logoff = LogOff(uid=who.uid, cause=session_id, session=session_id, reason="logoff")
        await self.writer.submit((logoff,), lane=who.uid)
        if self.forget(session):
            session.outlet.write((goodbye_part("logoff", None),))
            session.outlet.close()

    def end(self, session: Session, reason: str) -> None:
        """End a session that is over for this reason, unless it has ended before."""
        if self.forget(session):
            session.outlet.abort()
            self.housekeeping.end(LogOff(uid=session.uid, cause=session.id, session=session.id, reason=reason))

    def forget(self, session: Session) -> bool:
        """Take a session out of all lists. False when it had ended before."""
        self.blanks.remove(session)
        return self.sessions.remove(session)
