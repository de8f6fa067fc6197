"""The calls about contact lists. Rule: a contact's name and home come from the Global Server, once; alias and notify are the user's own."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from domain.errors import UnknownUser
from domain.event import Event
from domain.events.home import ContactAdded
from domain.user.commands import LookUp, PutContact, RemoveContact
from domain.user.state import Contact
from projections.by_server import HomeProjections
from runtime.scheduler import Jobs
from servers.home import work
from servers.home.global_client import GlobalClient
from servers.security.identity import Identity
from servers.security.rate_limit import RateLimit
from servers.sessions import views
from servers.sessions.listing import Listing
from servers.sessions.notifier import SessionNotifier
from servers.sessions.part_bodies import contact_view, contacts_part
from servers.sessions.sessions import Sessions
from servers.writing.writer import Writer


@dataclass(frozen=True, slots=True, eq=False)
class ContactList:
    """Reads and changes contact lists, and tells the user's sessions of changes. Every call may raise `Unavailable`."""

    writer: Writer
    sessions: Sessions
    projections: HomeProjections
    notifier: SessionNotifier
    global_client: GlobalClient
    changes: RateLimit
    new_id: Callable[[], str]
    scheduler: Jobs

    async def read(self, who: Identity) -> Listing:
        """The user's contact list. Raises `TooManyRequests`."""
        self.changes.take(who.uid, work.reading(self.projections.contacters, who.uid))
        stream = await self._warmed(who)
        contacts: list[Contact] = await self.writer.submit(
            (LookUp(uid=who.uid, cause=""),), answer=lambda _: list(self.writer.state(stream).contacts.values()), lane=who.uid
        )
        return Listing(who.uid, contacts, self.notifier.shown, self.scheduler)

    async def put(self, who: Identity, uid: int, alias: str | None, notify: bool) -> tuple[bool, views.Contact]:
        """Add or change a contact; return whether it was added, and the contact. Raises `UnknownUser`, `Invalid`, `TooManyRequests`."""
        self.changes.take(who.uid)
        index = self.projections.contacters
        if who.uid in index.watchers.get(uid, {}):  # a contact already: only alias and notify change, so the Global Server is not asked
            with contextlib.suppress(UnknownUser):  # the contact was removed meanwhile: add it anew
                return await self._put(who, Contact(uid, "", "", index.home_of[uid], alias, notify))
        if uid in self.projections.closed.uids:
            raise UnknownUser(uid=uid)
        known = await self.global_client.user(uid)
        return await self._put(who, Contact(uid, known.handle, known.name, known.home, alias, notify))

    async def _put(self, who: Identity, contact: Contact) -> tuple[bool, views.Contact]:
        await self._warmed(who)
        command = PutContact(uid=who.uid, cause=self.new_id(), contact=contact)

        def answer(events: list[Event]) -> tuple[bool, views.Contact]:
            view = self.view(self.writer.state(command.stream).contacts[contact.uid])
            if events:
                self._tell(who.uid, [view], [])
            return any(isinstance(event, ContactAdded) for event in events), view

        result: tuple[bool, views.Contact] = await self.writer.submit((command,), answer=answer, lane=who.uid)
        return result

    async def remove(self, who: Identity, uid: int) -> None:
        """Take a contact off the list, if it is there. Raises `TooManyRequests`."""
        self.changes.take(who.uid)

        def answer(events: list[Event]) -> None:
            if events:
                self._tell(who.uid, [], [uid])  # here, so that sessions hear of changes in the order of the commits

        await self._warmed(who)
        command = RemoveContact(uid=who.uid, cause=self.new_id(), contact=uid)
        await self.writer.submit((command,), answer=answer, lane=who.uid)

    async def _warmed(self, who: Identity) -> str:
        """The user's stream, whose state is loaded if it is large."""
        stream = f"user-{who.uid}"
        if work.is_large(self.projections.contacters, who.uid):
            await self.writer.states.warm(stream)
        return stream

    def view(self, contact: Contact) -> views.Contact:
        """A contact and how they stand."""
        return contact_view(contact, self.notifier.shown(contact.uid, contact.home))

    def _tell(self, uid: int, added: list[views.Contact], removed: list[int]) -> None:
        part, uids = contacts_part(added, removed), [*(contact.uid for contact in added), *removed]
        for session in self.sessions.of(uid):
            if session.welcome is not None:
                session.welcome.told(uids)
            session.tell_contacts(part, uids)
