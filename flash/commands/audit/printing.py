"""Prints the audit: columns for people, JSON lines for programs. Rule: texts and names are printed only when --text asks for them.

Times are RFC 3339 in UTC with microseconds.
"""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clients.command_line.screen import Piece, complain, say
from domain.event import stored_fields
from domain.events.home import MessageQueued
from projections.audit.rows import AuditRow, Doubt, Life, Online, Person, Shown, StateAt
from servers.audit.decoder import ERASED
from servers.sessions.part_bodies import instant

COLUMNS = (27, 7, 12, 26)  # widths of time, home, user and topic; most values fit, so later lines stay in their columns
STYLES = {"online": "green", "away": "yellow", "dnd": "red", "offline": "dim", "unknown": "dim"}


def print_json(value: Any) -> None:
    """Print one JSON line."""
    print(json.dumps(value, ensure_ascii=False, default=_bytes), flush=True)


def _bytes(value: Any) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def columns(*cells: str, style: str = "") -> None:
    """Print one line of a table. The last cell takes the room that is left."""
    padded = "  ".join(cell.ljust(width) for cell, width in zip(cells, COLUMNS, strict=False))
    say((f"{padded}  {cells[-1]}" if len(cells) > len(COLUMNS) else padded, style))


EVERY_EVENT_HAS = ("source", "position", "stream", "version", "topic", "uid", "handle", "cause")  # fields of every row


def heading() -> None:
    """Print the heading of the log."""
    columns("TIME", "HOME", "USER", "EVENT", "DETAILS", style="bold")


def entry(row: AuditRow, fields: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one event of the log, with those of its fields that may be shown."""
    if not as_json:
        shown = "  ".join(f"{name}={_brief(value)}" for name, value in {**_doubts(row), **fields}.items() if value not in (None, ""))
        columns(str(instant(row.time)), row.source, name_of(row.uid, row.handle), row.topic, shown)
        return
    where = {name: getattr(row, name) for name in EVERY_EVENT_HAS}
    era = f"{row.era:x}" if row.era else None
    print_json({"id": row.id, "era": era, "offset": row.offset, "time": instant(row.time), **where, "fields": dict(fields), **_doubts(row)})


def _doubts(row: AuditRow) -> dict[str, Any]:
    """What is doubtful about an event: its own time where it runs backwards, and that its server has no right to the stream."""
    told = {} if row.told is None else {"told": instant(row.told)}
    return told | ({"foreign": f"lives at {row.home}"} if row.foreign else {})


def doubts(found: Sequence[Doubt]) -> None:
    """Say on standard error where times are doubtful, beside an answer about a moment."""
    for each in found:
        if each.accepted:
            complain(f"{each.source}: at position {each.first} ops accepted that its clock was put right; times before it were ahead")
        else:
            where = f"position {each.first}" if each.events == 1 else f"{each.events} events from position {each.first} to {each.last}"
            complain(f"{each.source}: the times of {where} are doubtful, because they run backwards; the order of the log counts")


def life(found: Life, names: dict[int, str], *, as_json: bool) -> None:
    """Print the life of one popup, step by step."""
    to = "?" if found.to is None else name_of(found.to, names.get(found.to))
    if as_json:
        steps = [
            {"step": s.name, "time": instant(s.row.time), "source": s.row.source, "took_s": s.took_s, "cause": s.row.cause, "id": s.row.id}
            for s in found.steps
        ]
        print_json({"message": found.message, "from": found.sender, "to": found.to, "steps": steps})
        return
    say(f"popup {found.message}: {name_of(found.sender, names.get(found.sender))} -> {to}")
    for step in found.steps:
        took = "" if step.took_s is None else f"{step.took_s * 1000:+,.1f} ms"
        place = f"{step.row.stream}/{step.row.version}"
        say(f"  {instant(step.row.time)}  {step.row.source:<7}  {step.name:<18}  {took:>16}  {place:<16}  cause {step.row.cause}")


def state(found: StateAt, *, as_json: bool, text: bool) -> None:
    """Print the state of a user at a moment."""
    view = state_view(found, text)
    if as_json:
        print_json(view)
        return
    say(f"{found.person.handle} (uid {found.person.uid}, {found.person.home or 'home unknown'}) at {view['at']}: ", _status(view["status"]))
    say(f"  since {view['since'] or 'never'}; chosen {view['chosen']}{', until ' + view['until'] if view['until'] else ''}")
    for title in ("sessions", "contacts", "contacters", "waiting"):
        say(f"  {title}: {len(view[title])}")
        for item in view[title]:
            say("    " + "  ".join(f"{name}={_brief(value)}" for name, value in item.items() if value not in (None, "")))
    if not found.complete:
        say(("  the history does not begin at this user's first event: more may have been true", "yellow"))


def state_view(found: StateAt, text: bool) -> dict[str, Any]:
    """The state of a user at a moment, for programs."""
    user, waiting = found.user, []
    for event in found.waiting:
        fields = {name: value for name, value in stored_fields(event).items() if name != "at"}
        fields["sent_at"] = instant(fields["sent_at"]) if "sent_at" in fields else None
        fields["settled_at"] = instant(fields["settled_at"]) if "settled_at" in fields else None
        if isinstance(event, MessageQueued) and text:  # both are empty only after the key of their owner is gone
            fields |= {"text": event.text or ERASED, "name": event.name or ERASED}
        waiting.append({name: value for name, value in fields.items() if value is not None and (text or name not in ("text", "name"))})
    contacts = [contact._asdict() | {"name": contact.name or ERASED} for contact in user.contacts.values()]
    return {
        **found.person._asdict(),
        "at": instant(found.at),
        "status": user.status,
        "since": instant(user.since),
        "chosen": user.chosen,
        "until": instant(user.until),
        **({"name": user.name or ERASED, "note": user.note} if text else {}),
        "sessions": [{"session": session, "client": client} for session, client in user.sessions.items()],
        "contacts": contacts if text else [{k: v for k, v in contact.items() if k not in ("name", "alias")} for contact in contacts],
        "contacters": [{"uid": uid, "home": home} for uid, home in user.contacters.items()],
        "waiting": waiting,
        "complete": found.complete,
    }


def window(shown: Iterable[Shown], *, as_json: bool, text: bool) -> None:
    """Print a contact window, one line for each contact."""
    for contact in shown:
        view = contact._asdict() | {"since": instant(contact.since)}
        view = view if text else {name: value for name, value in view.items() if name not in ("name", "alias", "note")}
        if as_json:
            print_json(view)
            continue
        names = f"  {contact.alias or contact.name or ERASED}" if text else ""
        note = f"  {contact.note}" if text and contact.note else ""
        doubt = "  (or unknown: its home may have been out of reach)" if contact.doubtful else ""
        since = f"  since {view['since']}" if contact.since is not None else ""
        say(f"  {contact.handle:<16}", _status(f"{contact.status:<8}"), f"  {contact.home:<7}{names}{since}{note}{doubt}")


def online(found: Sequence[Online], *, as_json: bool) -> None:
    """Print everybody who was online."""
    for each in found:
        if as_json:
            print_json({**each.person._asdict(), "status": each.status, "since": instant(each.since)})
        else:
            person = name_of(each.person.uid, each.person.handle)
            say(f"  {person:<16}", _status(f"{each.status:<8}"), f"  {each.person.home:<7}  since {instant(each.since)}")


def name_of(uid: int | None, handle: str | None) -> str:
    """The handle of a user, or the uid as long as the history has not named the handle."""
    return "" if uid is None else handle or f"#{uid}"


def title(person: Person, what: str, moment: float) -> None:
    """Print the heading of a window."""
    say(f"{what} of {person.handle or person.uid} at {instant(moment)}:")


def _status(status: str) -> Piece:
    return (status, STYLES.get(status.strip(), ""))


def _brief(value: Any) -> str:
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(value, ensure_ascii=False, default=_bytes)
    return _bytes(value) if isinstance(value, bytes) else str(value)
