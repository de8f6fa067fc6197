"""Who is online, and who was at any past moment.

Rule: each moment has an address of its own, with or without the script, so it can be sent to a colleague.
"""

import math
from collections import Counter
from collections.abc import Sequence

from domain.errors import Invalid
from edge.console.contract import Pages
from edge.console.forms import Moment, read_time
from edge.console.markup import Html, tag
from edge.console.page import figures, link, moment, notice, page, row, table, time_field
from edge.console.user import presence_word
from edge.http.messages import Answer, Call
from projections.audit.rows import Online

MAX_ROWS = 500  # more rows than anybody reads; the counts above the table include everybody


class PresencePages(Pages):
    """`/ops/presence`."""

    async def show(self, call: Call) -> Answer:
        """Who is online now, or was at the moment that the slider or the field names."""
        query: Moment = call.query
        first, now = await self._console.span()
        fault = None
        try:
            at = read_time("at", query.at)
        except Invalid as error:
            at, fault = None, error.detail
        if at is None and query.t is not None:
            at = float(query.t)
        online = await self._console.online(call.identity, now if at is None else at)
        rows = await self._console.in_turn(call.identity, _row, online[:MAX_ROWS])
        return page(
            "Presence",
            call.identity,
            notice(fault, "fault"),
            _slider(math.floor(first), math.ceil(now), at),
            _field(query),
            _moment(online, rows, at, now),
            status=400 if fault else 200,
            here="/ops/presence",
        )


def _slider(first: int, last: int, at: float | None) -> Html:
    value = last if at is None else min(max(int(at), first), last)
    slider = tag("input", type="range", name="t", id="moment-slider", min=first, max=max(last, first + 1), step="1", value=value)
    return tag(
        "form",
        tag("label", tag("span", "Moment"), slider, class_="slider"),
        tag("output", moment(value), id="moment-shown", for_="moment-slider"),
        tag("button", "Show"),
        tag("a", "Now", href="/ops/presence"),
        action="/ops/presence",
        id="moment-form",
    )


def _field(query: Moment) -> Html:
    return tag("form", time_field("Exactly", "at", query.at), tag("button", "Show"), action="/ops/presence", class_="filters")


def _row(each: Online) -> Html:
    return row(
        tag("a", each.person.handle or each.person.uid, href=link("/ops/user", who=each.person.uid)),
        each.person.uid,
        each.person.home,
        presence_word(each.status),
        moment(each.since),
    )


def _moment(online: Sequence[Online], rows: list[Html], at: float | None, now: float) -> Html:
    counts = Counter(each.status for each in online)
    return tag(
        "section",
        tag("h2", "Online now, " if at is None else "Online at ", moment(now if at is None else at)),
        figures((status, counts[status]) for status in ("online", "away", "dnd")),
        table("Users", ("User", "uid", "Home", "Status", "Since"), rows, "Nobody was online."),
        notice(f"The first {MAX_ROWS} of {len(online)} are shown.") if len(online) > MAX_ROWS else None,
        id="moment",
        aria_live="polite",
    )
