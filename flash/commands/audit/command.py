"""`flash audit`: what the history says. Rule: every answer comes from the history stream, through the audit's own store.

The stream is RabbitMQ's (FLASH_BROKER_URL), or else the embedded broker's file in the data directory. That file is only read, also while a
server uses it. The audit's store keeps what was read, so that a second question only needs to catch up.
"""

import fnmatch
from collections.abc import Sequence, Set
from typing import Annotated

import typer

from clients.command_line.running import BadUsage
from domain.errors import UnknownMessage
from domain.events.integrity import LogSealed, SealReceived
from flash.commands.audit import printing
from flash.commands.audit.verify import verify
from flash.commands.session import AsJson, At, Data, StoreFile, User, WithText, at, perform, who
from projections.audit.log import MAX_LIMIT
from projections.audit.personal import details, with_personal
from projections.audit.rows import ENTRIES_PER_OFFSET, AuditFilter, AuditRow, Reached
from servers.audit.audit import Audit

# Busy servers write these every few seconds for `flash audit verify`; people who look for what happened do not look for them.
SEALS = frozenset({LogSealed.TOPIC, SealReceived.TOPIC})

app = typer.Typer(help="What happened, in what order, and what was true at any moment.", no_args_is_help=True)
app.command()(verify)


@app.command()
def log(
    user: Annotated[str | None, typer.Option("--user", metavar="WHO", help="Only this user's events: a handle or a uid.")] = None,
    home: Annotated[str | None, typer.Option("--home", metavar="NAME", help="Only what this home (or `global`) stored.")] = None,
    topic: Annotated[
        list[str] | None, typer.Option("--topic", help="Only these topics, e.g. user.message_sent or mailbox.*; may be repeated.")
    ] = None,
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help="Nothing before this time.")] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Nothing at or after this time.")] = None,
    message: Annotated[str | None, typer.Option("--message", metavar="ID", help="Only events about this popup.")] = None,
    cause: Annotated[str | None, typer.Option("--cause", metavar="ID", help="Only events with this cause.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many events, the newest ones.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Then new events as they come, until Ctrl-C.")] = False,
    as_json: AsJson = False,
    text: WithText = False,
    data: Data = None,
    store: StoreFile = None,
) -> None:
    """Show events, oldest first. Events of the seals are shown only with --json, or where --topic names them."""
    first = at(since, "--since") if since is not None else None
    end = at(until, "--until") if until is not None else None
    if first is not None and end is not None and end <= first:
        raise BadUsage("--until: expected a time after --since")

    async def show(audit: Audit) -> None:
        person = await who(audit, user) if user is not None else None
        wanted = AuditFilter(
            user=person.uid if person else None,
            source=home,
            topics=await _topics(audit, topic or []),
            since=first,
            until=end,
            message=message,
            cause=cause,
        )
        left_out = frozenset() if as_json or topic else SEALS
        reached = audit.reached
        if not as_json:
            printing.heading()
        await _print(audit, (await _newest(audit, wanted, limit, left_out))[::-1], as_json, text)
        if follow:
            audit.start()
            await _follow(audit, wanted, reached, left_out, as_json, text)

    perform(show, data, store, text=text)


@app.command()
def trace(
    message: Annotated[str, typer.Argument(metavar="MESSAGE_ID", help="The popup's id.")],
    as_json: AsJson = False,
    data: Data = None,
    store: StoreFile = None,
) -> None:
    """Show a popup's whole life across homes, with the time from each step to the step that follows from it."""

    async def show(audit: Audit) -> None:
        lives = await audit.trace(message)
        if not lives:
            raise UnknownMessage(f"the history knows no popup {message!r}", id=message)
        names = await audit.handles([uid for life in lives for uid in (life.sender, life.to) if uid is not None])
        for life in lives:
            printing.life(life, names, as_json=as_json)

    perform(show, data, store)


@app.command()
def state(
    user: User, moment: At = "now", as_json: AsJson = False, text: WithText = False, data: Data = None, store: StoreFile = None
) -> None:
    """Show a user's contacts, sessions, status and waiting mailbox at a moment."""
    when = at(moment)

    async def show(audit: Audit) -> None:
        person = await who(audit, user)
        printing.state(await audit.state_at(person.uid, when), as_json=as_json, text=text)
        printing.doubts(await audit.doubts())

    perform(show, data, store, text=text)


@app.command()
def window(
    user: User, moment: At = "now", as_json: AsJson = False, text: WithText = False, data: Data = None, store: StoreFile = None
) -> None:
    """Show what a user's contact window showed at a moment."""
    when = at(moment)

    async def show(audit: Audit) -> None:
        person = await who(audit, user)
        shown = await audit.window_at(person.uid, when)
        if not as_json:
            printing.title(person, "contact window", when)
        printing.window(shown, as_json=as_json, text=text)
        printing.doubts(await audit.doubts())

    perform(show, data, store, text=text)


@app.command()
def online(moment: At = "now", as_json: AsJson = False, data: Data = None, store: StoreFile = None) -> None:
    """Show everybody who was online at a moment."""
    when = at(moment)

    async def show(audit: Audit) -> None:
        printing.online(await audit.online_at(when), as_json=as_json)
        printing.doubts(await audit.doubts())

    perform(show, data, store)


@app.command()
def export(
    start: Annotated[
        str, typer.Option("--from", metavar="[ERA:]OFFSET", help="The first offset of the history stream, in the era of a line.")
    ] = "0",
    text: WithText = False,
    data: Data = None,
    store: StoreFile = None,
) -> None:
    """Print every event as a JSON line, in the order of the history. To go on later, start from the last line's `era` and `offset`; the
    lines of that offset come again, with the same `id`."""
    era, _, offset = start.rpartition(":")
    try:
        wanted, first = int(era or "0", 16), int(offset)
    except ValueError:
        raise BadUsage("--from: expected OFFSET or ERA:OFFSET, as a line of an export names them") from None

    async def show(audit: Audit) -> None:
        eras = await audit.eras()
        if wanted and wanted not in eras:
            raise BadUsage(f"--from: this store has read nothing of the era {era}; export from the beginning")
        if first and not wanted and len(eras) > 1:
            raise BadUsage("--from: name the era as well, ERA:OFFSET, because the history was begun anew")
        following = eras.get(wanted, 0) + first * ENTRIES_PER_OFFSET
        cursor: str | None = str(following - 1) if following else None
        while True:
            page = await audit.log(AuditFilter(), cursor=cursor, limit=MAX_LIMIT, order="arrival")
            await _print(audit, page.rows, True, text)
            if (cursor := page.next) is None:
                return

    perform(show, data, store, text=text)


async def _topics(audit: Audit, patterns: list[str]) -> tuple[str, ...]:
    """The topics that `patterns` match. A pattern without a match stays as it is, and finds nothing."""
    known = await audit.topics() if patterns else []
    return tuple(dict.fromkeys(topic for pattern in patterns for topic in (fnmatch.filter(known, pattern) or [pattern])))


async def _print(audit: Audit, rows: Sequence[AuditRow], as_json: bool, text: bool) -> None:
    fields = map(with_personal, await audit.texts(rows)) if text else map(details, rows)
    for row, shown in zip(rows, fields, strict=True):
        printing.entry(row, shown, as_json=as_json)


async def _follow(audit: Audit, wanted: AuditFilter, seen: Reached, left_out: Set[str], as_json: bool, text: bool) -> None:
    while True:
        await audit.grown(seen.entries)
        cursor, seen = seen.cursor, audit.reached
        while True:
            page = await audit.log(wanted, cursor=cursor, limit=MAX_LIMIT, order="arrival")
            await _print(audit, [row for row in page.rows if row.id < seen.next_id and row.topic not in left_out], as_json, text)
            if (cursor := page.next) is None:
                break


async def _newest(audit: Audit, wanted: AuditFilter, limit: int, left_out: Set[str]) -> list[AuditRow]:
    rows: list[AuditRow] = []
    cursor: str | None = None
    while len(rows) < limit:
        page = await audit.log(wanted, cursor=cursor, limit=min(MAX_LIMIT, limit - len(rows)))
        rows.extend(row for row in page.rows if row.topic not in left_out)
        if (cursor := page.next) is None:
            break
    return rows
