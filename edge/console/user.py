"""One user: their timeline, how they stood at a moment, what their contact window showed.

Rule: everything comes from the audit, and no text is shown.
"""

from domain.errors import Invalid, UnknownUser
from edge.console.contract import Pages
from edge.console.events import HEADINGS, PAGE_ROWS, event_row
from edge.console.forms import OneUser, read_time
from edge.console.markup import Html, tag, text
from edge.console.page import figures, link, moment, notice, page, row, table, time_field
from edge.http.messages import Answer, Call
from projections.audit.rows import AuditFilter, Person, Shown, StateAt


class UserPages(Pages):
    """`/ops/user`."""

    async def show(self, call: Call) -> Answer:
        """A user, how they stood at the moment, and what they did, newest first."""
        query: OneUser = call.query
        try:
            person = await self._console.person(query.who.strip())
            at = read_time("at", query.at)
        except (UnknownUser, Invalid) as error:
            return page("User", call.identity, notice(error.detail, "fault"), status=404 if isinstance(error, UnknownUser) else 400)
        wanted = AuditFilter(user=person.uid, until=at)
        found = await self._console.events(call.identity, wanted, query.cursor or None, PAGE_ROWS, what="timeline")
        _, now = await self._console.span()
        state, window = await self._console.moment(call.identity, person, now if at is None else at)
        contacts = await self._console.in_turn(call.identity, _contact, window)
        events = await self._console.in_turn(call.identity, event_row, found.rows)
        older = link("/ops/user", **_query(query, person), cursor=found.next) if found.next else None
        return page(
            f"{person.handle or 'User'} ({person.uid})",
            call.identity,
            tag("p", "Home: ", tag("b", person.home or "unknown")),
            _when(query, person),
            tag("h2", "Then" if at is not None else "Now"),
            _state(state),
            table("The contact window", ("Contact", "Home", "Status", "Since"), contacts, "No contacts."),
            tag("h2", "Timeline"),
            table("What happened, newest first", HEADINGS, events, "Nothing happened."),
            tag("p", tag("a", "Older events", href=older, rel="next")) if older else None,
            here="/ops/user",
        )


def _query(query: OneUser, person: Person) -> dict[str, str]:
    return {"who": str(person.uid), "at": query.at}


def _when(query: OneUser, person: Person) -> Html:
    return tag(
        "form",
        tag("input", type="hidden", name="who", value=person.uid),
        time_field("At", "at", query.at),
        tag("button", "Show"),
        tag("a", "Now", href=link("/ops/user", who=person.uid)),
        action="/ops/user",
        class_="filters",
    )


def _state(state: StateAt) -> Html:
    user, mailbox = state.user, state.mailbox
    told = {
        "Status": presence_word(user.status if user.sessions else "offline"),
        "Sessions": len(user.sessions),
        "Contacts": len(user.contacts),
        "Waiting messages": len(mailbox.waiting),
        "At": moment(state.at),
    }
    known = None if state.complete else notice("The history does not hold all that happened to this user before.", "fault")
    return text(known, figures(told.items()))


def _contact(shown: Shown) -> Html:
    return row(
        tag("a", shown.handle, href=link("/ops/user", who=shown.uid)),
        shown.home,
        [presence_word(shown.status), tag("small", "or unknown: its home may have been away") if shown.doubtful else None],
        moment(shown.since),
    )


def presence_word(status: str) -> Html:
    """A status as a word in its colour."""
    return tag("span", status, class_=f"status {status}")
