"""What a home does at once when a user leaves for good. Rule: neither sessions nor texts of that user stay in memory."""

from servers.home.global_client import GlobalClient
from servers.home.housekeeping import Housekeeping
from servers.security.tokens import KeyVerifier
from servers.sessions.blanks import BlankWheel
from servers.sessions.part_bodies import goodbye_part
from servers.sessions.sessions import Session, Sessions


class Departures:
    """Takes users who left for good out of everything that this process remembers."""

    def __init__(
        self,
        verifier: KeyVerifier,
        global_client: GlobalClient,
        sessions: Sessions,
        blanks: BlankWheel[Session],
        housekeeping: Housekeeping,
    ) -> None:
        self._verifier = verifier
        self._global_client = global_client
        self._sessions = sessions
        self._blanks = blanks
        self._housekeeping = housekeeping

    def left(self, uid: int) -> None:
        """The account `uid` is closed: end its sessions, and drop its messages from the sessions of everybody else."""
        self._verifier.forget()
        self._global_client.forget(uid)
        for session in list(self._sessions.of(uid)):
            self._blanks.remove(session)
            self._sessions.remove(session)
            session.outlet.write((goodbye_part("closed", None),))
            session.outlet.close()
        for session in self._sessions:
            session.drop(uid)
        self._housekeeping.drop_erased(uid)
