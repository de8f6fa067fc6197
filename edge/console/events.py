"""The events page and its live tail: filters, rows, the next page. Rule: a page shows that people wrote, and never what they wrote."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from domain.errors import Invalid, UnknownUser
from edge.console.contract import Console, Pages
from edge.console.forms import Events, read_time
from edge.console.markup import NONE, Html, tag, text
from edge.console.page import field, link, moment, notice, page, row, table, time_field
from edge.http.messages import Answer, Call
from projections.audit.personal import details
from projections.audit.rows import AuditFilter, AuditRow
from runtime.bounds import Bound, Holding

PAGE_ROWS = 100
MAX_VALUE_CHARS = 64  # of one detail: an id fits; a list of a thousand delivered messages is cut
MAX_TITLE_CHARS = 1_000  # shown when somebody points at it
SHARED_ROWS = 512  # about 1 MB
MAX_SHARED_BYTES = 4_096  # of one event; a row of a longer one is made for each reader
ROWS = Bound(
    name="console_rows",
    holds="events as rows of HTML, which live tails share",
    filled_by="everybody who does something while ops read the console",
    past="the row that was unused longest is made anew",
    within=("shared_row",),
    entries=SHARED_ROWS,
    each=24_000,
    cache=True,
)
HEADINGS = ("Time", "Server", "Event", "User", "Details", "Cause")


class EventsPages(Pages):
    """The log with its filters."""

    async def show(self, call: Call) -> Answer:
        """A page of events, newest first. A script adds new events to the first page."""
        query: Events = call.query
        after = query.after or self._console.newest()  # read before the page is, so that no event falls between page and tail
        try:
            found = await self._console.events(call.identity, await wanted_of(self._console, query), query.cursor or None, PAGE_ROWS)
            fault = None
        except (Invalid, UnknownUser) as error:
            found, fault = None, error
        rows = await self._console.in_turn(call.identity, event_row, found.rows) if found else []
        live = None if query.cursor or fault else link("/ops/tail", **_filter_of(query), after=after)
        older = found.next if found else None
        form = _form(query, await self._console.topics(), await self._console.sources())
        status = 400 if fault else 200
        return page(
            "Events",
            call.identity,
            notice(fault.detail if fault else None, "fault"),
            form,
            _live_switch() if live else None,
            table("Events, newest first", HEADINGS, rows, "No event fits.", id="events", data_live=live),
            tag("p", tag("a", "Older events", href=link("/ops", **_filter_of(query), cursor=older), rel="next")) if older else None,
            status=status,
            here="/ops",
        )


async def wanted_of(console: Console, query: Events) -> AuditFilter:
    """The filter that a form asks for. Raises `Invalid`, `UnknownUser`."""
    return AuditFilter(
        user=(await console.person(query.user.strip())).uid if query.user.strip() else None,
        source=query.server or None,
        topics=(query.topic,) if query.topic else (),
        message=query.message or None,
        since=read_time("since", query.since),
        until=read_time("until", query.until),
    )


def event_row(event: AuditRow) -> Html:
    """One event as a row of the table. It takes about 80 µs; live tails share the result, unless it is long."""
    return shared_row(event) if len(event.data) <= MAX_SHARED_BYTES else _row_of(event)


@lru_cache(maxsize=SHARED_ROWS)
def shared_row(event: AuditRow) -> Html:
    """The same, kept for the next reader."""
    return _row_of(event)


def rows_held() -> Holding:
    """How many rows are kept."""
    return ROWS.holding(shared_row.cache_info().currsize)


def _row_of(event: AuditRow) -> Html:
    user = tag("a", event.handle or event.uid, href=link("/ops/user", who=event.uid)) if event.uid is not None else NONE
    told = {name: value for name, value in details(event).items() if value not in (None, "")}
    popup = told.get("id") if event.topic.startswith(("mailbox.", "user.message_")) else None
    trace = tag("a", "Trace", href=link("/ops/trace", message=popup)) if isinstance(popup, str) else None
    return row(
        [moment(event.time), tag("small", "told ", moment(event.told), " out of order") if event.told is not None else None],
        [event.source, tag("small", f"not the user's home, {event.home}") if event.foreign else None],
        [tag("code", event.topic), tag("small", f"{event.stream} v{event.version}")],
        user,
        [tag("span", tag("b", name), " ", _value(value), class_="detail") for name, value in told.items()],
        [trace, tag("code", event.cause[:12], title=event.cause)],
        id=f"e{event.id}",
    )


def _value(value: Any) -> Html:
    shown = value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=repr).decode()
    return text(shown) if len(shown) <= MAX_VALUE_CHARS else tag("span", shown[:MAX_VALUE_CHARS] + "…", title=shown[:MAX_TITLE_CHARS])


def _filter_of(query: Events) -> Mapping[str, str]:
    fields: dict[str, str] = msgspec.structs.asdict(query)
    return {name: value for name, value in fields.items() if name not in ("cursor", "after")}


def _form(query: Events, topics: Sequence[str], sources: Sequence[str]) -> Html:
    def words(name: str, value: str, **more: Any) -> Html:
        return tag("input", name=name, value=value, maxlength="64", **more)

    return tag(
        "form",
        field("User", words("user", query.user, placeholder="handle or uid", autocapitalize="none")),
        field("Server", _choice("server", query.server, sources)),
        field("Event", _choice("topic", query.topic, topics)),
        field("Message id", words("message", query.message)),
        time_field("From", "since", query.since),
        time_field("Until", "until", query.until),
        tag("button", "Filter"),
        tag("a", "Clear", href="/ops"),
        action="/ops",
        class_="filters",
    )


def _choice(name: str, chosen: str, among: Sequence[str]) -> Html:
    known = among if not chosen or chosen in among else [*among, chosen]
    options = [tag("option", each, value=each, selected=each == chosen) for each in known]
    return tag("select", tag("option", "any", value=""), options, name=name)


def _live_switch() -> Html:
    """The switch of the live tail. It is hidden until the script runs."""
    switch = tag("input", type="checkbox", id="live", checked=True)
    state = tag("output", "", id="live-state", for_="live")
    return tag("p", tag("label", switch, " Live"), " ", state, hidden=True, id="live-switch")
