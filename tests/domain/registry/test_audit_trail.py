"""What an auditor leaves behind: every read and every action, also a repeated one."""

from domain.events.global_server import AuditRead, DeadLettersHandled
from domain.registry.commands import NoteDeadLetters, NoteRead
from domain.rules.global_server import RULES
from tests.domain.given import NOW, Story

given = Story.of(RULES)
OPS = {"by": 7, "handle": "ops", "cause": "c1"}
READ = AuditRead(what="timeline", whom="user 42", at=NOW, **OPS)
DROPPED = DeadLettersHandled(action="drop", letters="all", at=NOW, **OPS)


def test_every_read_is_noted():
    command = NoteRead(what="timeline", whom="user 42", uid=7, handle="ops", cause="c1")
    assert command.stream == "audit-7"
    given().when(command).then(READ)
    given(READ).when(command).then(READ)


def test_every_action_on_dead_letters_is_noted():
    command = NoteDeadLetters(action="drop", letters="all", uid=7, handle="ops", cause="c1")
    assert command.stream == "audit-7"
    given(READ, DROPPED).when(command).then(DROPPED)


def test_of_a_trail_only_the_version_counts():
    assert given(READ, DROPPED).state("audit-7").version == 2
