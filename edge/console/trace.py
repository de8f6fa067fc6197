"""A popup's life as a picture: a line for each server, a dot for each step, an arrow from its cause. Rule: nothing is drawn to scale.

The times stand at the arrows, because a popup arrives within milliseconds and may be closed hours later.
"""

from collections.abc import Sequence
from typing import Any

from edge.console.contract import Pages
from edge.console.events import HEADINGS, event_row
from edge.console.forms import OneMessage
from edge.console.markup import Html, tag
from edge.console.page import link, moment, notice, page, row, table
from edge.http.messages import Answer, Call
from projections.audit.rows import Life, Step

STEP_PX, SERVER_PX = 150, 110  # room for a name and a time below each dot
LEFT_PX, TOP_PX, BELOW_PX = 96, 44, 60
DOT_PX = 9
ARC_PX = 52  # how far an arc's handle stands above its server's line


class TracePages(Pages):
    """`/ops/trace`."""

    async def show(self, call: Call) -> Answer:
        """Every popup with this id, and its events."""
        query: OneMessage = call.query
        lives = await self._console.trace(call.identity, query.message.strip())
        if not lives:
            return page("Trace", call.identity, notice("No popup in the history has this id."), status=404)
        return page(f"Trace of {query.message}", call.identity, *[_life(life) for life in lives], here="/ops/trace")


def _life(life: Life) -> Html:
    to = tag("a", f"user {life.to}", href=link("/ops/user", who=life.to)) if life.to is not None else "somebody"
    rows = [_step(step) for step in life.steps]
    return tag(
        "section",
        tag("h2", "From ", tag("a", f"user {life.sender}", href=link("/ops/user", who=life.sender)), " to ", to),
        tag("div", picture(life.steps), class_="wide", tabindex="0", role="region", aria_label="The popup's way"),
        table("Its steps", ("Step", "After", "Time", "Server", "Event"), rows, "None."),
        tag("details", tag("summary", "The events"), table("Events", HEADINGS, [event_row(step.row) for step in life.steps], "None.")),
    )


def _step(step: Step) -> Html:
    return row(tag("b", step.name), duration(step.took_s), moment(step.row.time), step.row.source, tag("code", step.row.topic))


def picture(steps: Sequence[Step]) -> Html:
    """The life as SVG: servers from top to bottom in the order of their first step, steps from left to right."""
    servers = list(dict.fromkeys(step.row.source for step in steps))
    width, height = LEFT_PX + STEP_PX * len(steps), TOP_PX + SERVER_PX * (len(servers) - 1) + BELOW_PX
    spots = [
        (LEFT_PX + STEP_PX * number + STEP_PX // 3, TOP_PX + SERVER_PX * servers.index(step.row.source))
        for number, step in enumerate(steps)
    ]
    drawn: list[Html] = [tag("title", "The way of the popup: " + ", ".join(f"{step.name} at {step.row.source}" for step in steps))]
    drawn.append(tag("defs", tag("marker", tag("path", d="M0 0 L8 4 L0 8 z"), id="tip", refX=8, refY=4, **_TIP)))
    labels: list[Html] = []
    for number, server in enumerate(servers):
        y = TOP_PX + SERVER_PX * number
        drawn.append(tag("line", x1=LEFT_PX - 8, y1=y, x2=width, y2=y, class_="server-line"))
        drawn.append(tag("text", server, x=8, y=y + 5, class_="server"))
    for number, step in enumerate(steps):
        before = _cause(steps, number)
        if before is not None:
            arrow, label = _arrow(spots[before], spots[number], duration(step.took_s))
            drawn.append(arrow)
            labels.append(label)
    for (x, y), step in zip(spots, steps, strict=True):
        drawn.append(tag("circle", cx=x, cy=y, r=DOT_PX, class_="dot"))
        drawn.append(tag("text", step.name, x=x, y=y + 27, class_="step"))
        drawn.append(tag("text", _clock(step), x=x, y=y + 43, class_="clock"))
    return tag("svg", drawn, labels, viewBox=f"0 0 {width} {height}", width=width, height=height, role="img", class_="trace")


_TIP = {"markerWidth": 8, "markerHeight": 8, "orient": "auto-start-reverse", "markerUnits": "userSpaceOnUse"}


def _cause(steps: Sequence[Step], number: int) -> int | None:
    """The step that caused this one: it happened `took_s` before."""
    took_s = steps[number].took_s
    if took_s is None or number == 0:
        return None
    began = steps[number].row.time - took_s
    return min(range(number), key=lambda each: abs(steps[each].row.time - began))


def _arrow(start: tuple[int, int], end: tuple[int, int], label: str) -> list[Html]:
    """An arrow from dot to dot; between two steps of one server, an arc above the dots. Its label keeps clear of the names below them."""
    (x1, y1), (x2, y2) = start, end
    middle = (x1 + x2) // 2
    if y1 == y2:
        line = f"M{x1} {y1 - DOT_PX} Q{middle} {y1 - ARC_PX} {x2 - DOT_PX} {y2 - DOT_PX}"
        place: dict[str, Any] = {"x": middle, "y": y1 - ARC_PX // 2 - 6, "text_anchor": "middle"}
    else:
        down = y2 > y1
        line = f"M{x1} {y1} L{x2 - DOT_PX + 1} {y2 - 7 if down else y2 + 7}"
        place = {"x": middle + (8 if down else -8), "y": (y1 + y2) // 2 + (0 if down else 6), "text_anchor": "start" if down else "end"}
    return [tag("path", d=line, class_="arrow", marker_end="url(#tip)"), tag("text", label, class_="took", **place)]


def _clock(step: Step) -> Html | str:
    return str(moment(step.row.time)).partition(">")[2][11:23]


def duration(seconds: float | None) -> str:
    """`+12.3 ms`, `+4.20 s`, `+3 min 20 s`, `+2 h 5 min`; a minus where two clocks differ."""
    if seconds is None:
        return ""
    sign, size = ("-" if seconds < 0 else "+"), abs(seconds)
    if size < 1:
        return f"{sign}{size * 1000:.1f} ms"
    if size < 60:
        return f"{sign}{size:.2f} s"
    minutes, rest = divmod(round(size), 60)
    if minutes < 60:
        return f"{sign}{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{sign}{hours} h {minutes} min"
