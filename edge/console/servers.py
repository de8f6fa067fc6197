"""The servers: health of the homes and of the Global Server, and the dead letters.

Rule: a server that does not answer is shown so, and never as zeros.
"""

from collections.abc import Mapping
from typing import Any

from domain.errors import Unavailable
from edge.console.contract import Pages
from edge.console.forms import DeadPage, OneHome, OneLetter
from edge.console.markup import Html, tag, text
from edge.console.page import figures, link, moment, notice, page, redirect, row, table
from edge.http.messages import Answer, Call
from servers.global_server.console import DeadLetterSummary, HomeSeen

ALL = "all"


class ServerPages(Pages):
    """`/ops/homes` and `/ops/dead`. No page enrols a home: that takes a secret from the Global Server's machine."""

    async def homes(self, call: Call) -> Answer:
        """The state of every server. A script refreshes it every few seconds."""
        homes = await self._console.homes()
        headings = ("Home", "State", "Users", "Sessions", "Waiting", "Outbox lag", "Inbox", "Writer", "Projection lag", "Dead", "Position",
                    "Certificate")  # fmt: skip
        shown = tag(
            "section",
            _global(await self._console.own_health()),
            table("Home Servers", headings, [_home(home) for home in homes], "No home has announced itself."),
            id="servers",
            data_refresh="5000",
        )
        return page("Homes", call.identity, shown, here="/ops/homes")

    async def revoke(self, call: Call) -> Answer:
        """Let nobody believe a home any more."""
        body: OneHome = call.body
        await self._console.revoke(call.identity, body.home)
        return redirect("/ops/homes")

    async def dead(self, call: Call) -> Answer:
        """The dead letters, with buttons to requeue or drop them."""
        query: DeadPage = call.query
        try:
            letters, fault = await self._console.dead_letters(), None
        except Unavailable as error:
            letters, fault = (), f"The dead letters cannot be seen: {error.detail}"
        done = f"{query.requeued} put back into the queue." if query.requeued is not None else None
        done = f"{query.dropped} dropped." if query.dropped is not None else done
        headings = ("Died", "Came from", "Reason", "Contents", "Bytes", "Actions")
        return page(
            "Dead letters",
            call.identity,
            notice(fault, "fault"),
            notice(done),
            _button("requeue", ALL, "Requeue all") if len(letters) > 1 else None,
            table("Oldest first", headings, [_letter(letter) for letter in letters], "No dead letters." if not fault else "Unknown."),
            here="/ops/dead",
        )

    async def requeue(self, call: Call) -> Answer:
        """Put one dead letter, or all of them, back into their queues."""
        body: OneLetter = call.body
        count = await self._console.requeue(call.identity, None if body.letter == ALL else [body.letter])
        return redirect(link("/ops/dead", requeued=count))

    async def drop(self, call: Call) -> Answer:
        """Drop one dead letter."""
        body: OneLetter = call.body
        return redirect(link("/ops/dead", dropped=await self._console.drop(call.identity, [body.letter])))


def _home(home: HomeSeen) -> Html:
    told: Mapping[str, Any] = home.health or {}
    return row(
        [tag("b", home.name), tag("small", home.url)],
        _state(home),
        home.residents,
        *(_known(told.get(name)) for name in ("sessions", "waiting", "relay_lag", "inbox", "writer")),
        _lags(told.get("projections")),
        _known(told.get("dead")),
        _known(told.get("position")),
        _certificate(home),
        id=f"home-{home.name}",
    )


def _certificate(home: HomeSeen) -> Html:
    if home.revoked:
        return tag("span", "revoked", class_="status offline")
    if not home.certified_until:
        return tag("span", "not enrolled", class_="status away")
    revoke = tag("form", tag("input", type="hidden", name="home", value=home.name), tag("button", "Revoke"), action="/ops/homes/revoke",
                 method="post")  # fmt: skip
    return text("until ", moment(home.certified_until), tag("details", tag("summary", "Revoke…"), revoke))


def _known(figure: Any) -> Any:
    return "–" if figure is None else figure


def _state(home: HomeSeen) -> Html:
    if home.health is None:
        word, kind = ("no answer", "unknown") if home.up else ("down", "offline")
    else:
        word, kind = ("ready", "online") if home.health.get("ready") is None else (str(home.health["ready"]), "away")
    return text(tag("span", word, class_=f"status {kind}"), tag("small", "retired") if home.retired else None)


def _lags(lags: Any) -> Html:
    if not isinstance(lags, Mapping):
        return text("–")
    return text([tag("span", tag("b", name), " ", lag, class_="detail") for name, lag in lags.items()])


def _global(health: Mapping[str, Any]) -> Html:
    newest, behind_s = health["audit_newest"], health["audit_behind_s"]
    told: list[tuple[str, Any]] = [
        ("State", tag("span", health["ready"] or "ready", class_="status away" if health["ready"] else "status online")),
        (
            "Broker",
            tag("span", "connected", class_="status online") if health["connected"] else tag("span", "away", class_="status offline"),
        ),
        ("Users", health["users"]),
        ("Position", health["position"]),
        ("Writer waiting", health["writer"]),
        ("Outbox lag", health["relay_lag"]),
        ("Inbox", _known(health["inbox"])),
        ("Dead letters", tag("a", _known(health["dead"]), href="/ops/dead")),
        ("Projection lag", _lags(health["projections"])),
        ("Audited events", health["audit_entries"]),
        ("Audit's newest", moment(newest)),
        ("Audit behind", "–" if behind_s is None else f"{behind_s:.2f} s"),
        ("Unreadable in the history", health["audit_unreadable"]),
    ]
    return text(tag("h2", "Global Server"), figures(told))


def _letter(letter: DeadLetterSummary) -> Html:
    actions = [
        _button("requeue", letter.id, "Requeue"),
        tag("details", tag("summary", "Drop…"), _button("drop", letter.id, "Drop for good")),
    ]
    return row(
        moment(letter.at),
        letter.queue or "unknown",
        letter.reason or "none given",
        letter.contents,
        letter.size_bytes,
        tag("div", *actions, class_="actions"),
    )


def _button(action: str, letter: str, said: str) -> Html:
    """A button that does `action` with a dead letter."""
    named = tag("input", type="hidden", name="letter", value=letter)
    return tag("form", named, tag("button", said), action=f"/ops/dead/{action}", method="post")
