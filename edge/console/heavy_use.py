"""Who is heavy: the last minute of every server, and who has turns at a tenth. Rule: a server that does not answer is shown so."""

from edge.console.contract import Pages
from edge.console.forms import EndThrottle, Throttle
from edge.console.markup import Html, tag, text
from edge.console.page import field, page, redirect, row, table
from edge.http.messages import Answer, Call
from servers.global_server.views import Heavy, ServerLoad
from servers.global_server.views import Throttle as Throttled

ROWS = 15  # for each server
HERE = "/ops/heavy"
KINDS = ("user", "address", "home")


class HeavyPages(Pages):
    """`/ops/heavy`."""

    async def show(self, call: Call) -> Answer:
        """Who used most of each server in the last minute. A script refreshes it every few seconds."""
        told = await self._console.heavy.look(call.identity)
        held = {(each.kind, each.who) for each in told.throttles}
        live = tag("section", *(_server(each, held) for each in told.servers), id="heavy", data_refresh="5000")
        throttles = table(
            "Turns at a tenth", ("Who", "Kind", "Until", "By", "Actions"), [_throttle(each) for each in told.throttles], "Nobody."
        )
        return page("Heavy use", call.identity, throttles, _form(), live, here=HERE)

    async def throttle(self, call: Call) -> Answer:
        """Give somebody turns at a tenth."""
        body: Throttle = call.body
        await self._console.heavy.throttle(call.identity, body.kind, body.name, body.minutes * 60.0)
        return redirect(HERE)

    async def end(self, call: Call) -> Answer:
        """Give somebody all turns again."""
        body: EndThrottle = call.body
        await self._console.heavy.end_throttle(call.identity, body.kind, body.name)
        return redirect(HERE)


def _server(server: ServerLoad, held: set[tuple[str, str]]) -> Html:
    if not server.answers:
        return text(tag("h2", server.server), tag("p", tag("span", "no answer", class_="status unknown")))
    heaviest = sorted(server.heaviest, key=lambda each: each.cpu_s, reverse=True)[:ROWS]
    caption = f"{server.server}: {server.cpu_s:.2f} s of CPU in the last minute, {server.waiting} held back"
    rows = [_heavy(each, (each.kind, each.who) in held) for each in heaviest]
    return table(caption, ("Who", "Kind", "CPU s", "Bytes", "Waited s", "Actions"), rows, "Nobody used it.")


def _heavy(each: Heavy, slow: bool) -> Html:
    button = "at a tenth" if slow else _button("throttle", each.kind, each.who, "Turns at a tenth for an hour")
    return row(tag("b", each.who), each.kind, f"{each.cpu_s:.2f}", each.bytes, f"{each.waited_s:.1f}", button)


def _throttle(each: Throttled) -> Html:
    return row(tag("b", each.who), each.kind, f"{each.until[:19]}Z", each.by, _button("end", each.kind, each.who, "End"))


def _button(action: str, kind: str, who: str, said: str) -> Html:
    named = [tag("input", type="hidden", name=name, value=value) for name, value in (("kind", kind), ("name", who))]
    confirmed = tag("form", *named, tag("button", said), action=f"{HERE}/{action}", method="post")
    return confirmed if action == "end" else tag("details", tag("summary", "Throttle…"), confirmed)


def _form() -> Html:
    kinds = tag("select", *(tag("option", kind, value=kind) for kind in KINDS), name="kind")
    name = tag("input", name="name", required=True, maxlength="64", placeholder="handle, address or home")
    minutes = tag("input", name="minutes", type="number", min="1", max="43200", value="60")
    return tag(
        "form",
        field("What", kinds),
        field("Who", name),
        field("Minutes", minutes),
        tag("button", "Turns at a tenth"),
        action=f"{HERE}/throttle",
        method="post",
    )
