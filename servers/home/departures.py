"""What a home does at once when a user leaves for good. Rule: neither sessions nor texts of that user stay in memory."""

from dataclasses import dataclass

from servers.home.global_client import GlobalClient
from servers.home.housekeeping import Housekeeping
from servers.security.tokens import KeyVerifier
from servers.sessions.blanks import BlankWheel
from servers.sessions.part_bodies import goodbye_part
from servers.sessions.session import Session
from servers.sessions.sessions import Sessions


@dataclass(slots=True, eq=False)
class Departures:
    """Takes users who left for good out of everything that this process remembers."""

    verifier: KeyVerifier
    global_client: GlobalClient
    sessions: Sessions
    blanks: BlankWheel[Session]
    housekeeping: Housekeeping

    def left(self, uid: int) -> None:
        """The account `uid` is closed: end its sessions, and take its messages out of the mailboxes of everybody else who is here."""
        self.verifier.forget_refused()
        self.global_client.forget(uid)
        for session in list(self.sessions.of(uid)):
            self.blanks.remove(session)
            self.sessions.remove(session)
            session.outlet.write((goodbye_part("closed", None),))
            session.outlet.close()
        self.housekeeping.drop_erased(uid)
