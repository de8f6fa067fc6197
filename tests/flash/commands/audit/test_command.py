"""What `flash audit` says about a few minutes of ann's and bob's. Rule: the same from an embedded broker's file and from RabbitMQ."""

import asyncio
import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from broker import topology
from broker.embedded.reader import EmbeddedReader
from broker.port import Outgoing
from broker.rabbitmq.broker import RabbitBroker
from flash.commands.audit import printing
from projections.audit.rows import AuditRow, Doubt
from servers.encryption.key_tables import open_keys
from tests.faults.installation import FLASH
from tests.flash.commands.audit.conftest import Answer, Ask
from tests.servers.homes import START, Town
from tests.support.rabbitmq_choice import AnyRabbit

QUESTIONS = [
    ("log", "--json"),
    ("log", "--user", "ann"),
    ("trace", "first"),
    ("state", "--user", "ann", "--at", "2023-11-14T22:14:30Z", "--json"),
    ("window", "--user", "ann", "--at", "2023-11-14 22:14:30"),
    ("online", "--at", "2023-11-14 22:14:30"),
    ("export",),
]


TOPIC_COLUMN = 52  # after time, home and user


def lines(answer: Answer) -> list[dict[str, object]]:
    assert answer.code == 0, answer.err
    return [json.loads(line) for line in answer.out.splitlines()]


def test_the_log_is_filtered_by_user_home_topic_and_time(ask: Ask) -> None:
    everything = lines(ask("log", "--json", "-n", "1000"))
    assert [row["time"] for row in everything] == sorted(row["time"] for row in everything)
    assert {row["source"] for row in everything} == {"h1", "h2"}
    anns = lines(ask("log", "--json", "--user", "ann", "--home", "h1", "--topic", "user.logged_*"))
    assert [(row["topic"], row["handle"]) for row in anns] == [("user.logged_in", "ann"), ("user.logged_off", "ann")]
    assert lines(ask("log", "--json", "--user", "1", "--topic", "user.logged_*")) == anns
    later = lines(ask("log", "--json", "--since", "2023-11-14T22:15:00Z", "--until", "2023-11-14T22:16:00Z"))
    assert later == [row for row in everything if "22:15" in str(row["time"])]
    assert later
    assert lines(ask("log", "--json", "-n", "2")) == everything[-2:]
    assert lines(ask("log", "--json", "--topic", "nothing.known")) == []
    assert {row["topic"] for row in lines(ask("log", "--json", "--message", "first"))} == {
        "user.message_sent",
        "mailbox.message_queued",
        "mailbox.messages_delivered",
        "mailbox.receipt_queued",
    }


def test_seals_are_shown_to_those_who_ask_for_them(ask: Ask) -> None:
    def shown(*arguments: str) -> list[str]:
        """The topics in the table."""
        return [line[TOPIC_COLUMN:].split()[0] for line in ask("log", *arguments).out.splitlines()[1:]]

    everything = [str(row["topic"]) for row in lines(ask("log", "--json", "-n", "1000"))]
    events = [topic for topic in everything if topic != "log.sealed"]
    assert len(events) < len(everything)
    assert shown("-n", "1000") == events
    assert shown("-n", "3") == events[-3:], "as many as were asked for, seals not counted"
    assert set(shown("--topic", "log.*")) == {"log.life_began", "log.sealed"}


def test_people_see_a_table(ask: Ask) -> None:
    heading, *rows = ask("log", "--user", "bob", "--topic", "user.status_changed").out.splitlines()
    assert heading.split() == ["TIME", "HOME", "USER", "EVENT", "DETAILS"]
    (row,) = rows
    assert row.startswith("2023-11-14T22:14:20.000000Z  h2       bob           user.status_changed")
    assert row.index("h2") == heading.index("HOME")


@pytest.mark.parametrize("question", QUESTIONS)
def test_what_people_wrote_is_shown_only_when_asked_for(ask: Ask, question: tuple[str, ...]) -> None:
    hidden = ask(*question)
    assert hidden.code == 0
    assert hidden.out
    for secret in ("pop over?", "on my way", "at lunch", "Bobby"):
        assert secret not in hidden.out


def test_text_is_shown_when_asked_for(ask: Ask) -> None:
    assert "pop over?" in ask("log", "--text").out
    assert "Bobby" in ask("window", "--user", "ann", "--text").out
    assert "on my way" in ask("state", "--user", "ann", "--text").out
    assert "at lunch" in ask("state", "--user", "bob", "--text", "--json").out


def test_a_trace_tells_the_steps_and_the_time_between_them(ask: Ask) -> None:
    (life,) = lines(ask("trace", "first", "--json"))
    assert (life["from"], life["to"]) == (1, 2)
    steps = [(step["step"], step["source"], step["took_s"]) for step in life["steps"]]  # type: ignore[attr-defined]
    assert steps == [("sent", "h1", None), ("queued", "h2", 0.0), ("delivered", "h2", 60.0), ("receipt delivered", "h1", 0.0)]
    heading, *rows = ask("trace", "first").out.splitlines()
    assert heading == "popup first: ann -> bob"
    assert "+60,000.0 ms" in rows[2]


def test_a_moment_is_told_as_it_was(ask: Ask) -> None:
    def window(at: str) -> list[tuple[object, object]]:
        return [(c["handle"], c["status"]) for c in lines(ask("window", "--user", "ann", "--at", at, "--json"))]

    assert window("2023-11-14T22:13:00Z") == []
    assert window("2023-11-14T22:13:30Z") == [("bob", "offline")]
    assert window("2023-11-14T22:14:30Z") == [("bob", "away")]
    assert [row["handle"] for row in lines(ask("online", "--json", "--at", "2023-11-14T22:14:30Z"))] == ["ann", "bob"]
    assert [row["handle"] for row in lines(ask("online", "--json", "--at", "2023-11-14T22:15:30Z"))] == ["bob"]
    (then,) = lines(ask("state", "--user", "bob", "--json", "--at", "2023-11-14T22:13:30Z"))
    assert (then["status"], [m["id"] for m in then["waiting"]]) == ("offline", ["first"])  # type: ignore[attr-defined]
    (now,) = lines(ask("state", "--user", "bob", "--json"))
    assert (now["status"], now["waiting"], now["complete"]) == ("away", [], True)


def test_an_export_goes_on_where_one_ended(ask: Ask) -> None:
    everything = lines(ask("export"))
    middle = everything[len(everything) // 2]["offset"]
    assert [row for row in everything if row["offset"] >= middle] == lines(ask("export", "--from", str(middle)))  # type: ignore[operator]
    assert len({row["id"] for row in everything}) == len(everything)


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        (("log", "--since", "yesterday"), 2, "--since: expected 2026"),
        (("log", "--since", "21:15", "--until", "21:14"), 2, "--until: expected a time after --since"),
        (("state", "--user", "ann", "--at", "2023-W46"), 2, "--at: expected"),
        (("log", "-n", "0"), 2, "'-n'"),
        (("trace",), 2, "MESSAGE_ID"),
        (("state",), 2, "--user"),
        (("dance",), 2, "dance"),
        (("log", "--user", "carol"), 1, "the history knows no user 'carol'"),
        (("window", "--user", "77"), 1, "the history knows no user 77"),
        (("trace", "third"), 1, "the history knows no popup 'third'"),
        (("log", "--data", "/nowhere"), 1, "there is no history in /nowhere"),
        (("log", "--store", "/proc/audit.db"), 1, "/proc"),
    ],
)
def test_what_cannot_be_answered_is_one_line(ask: Ask, line: tuple[str, ...], code: int, says: str) -> None:
    answer = ask(*line)
    assert (answer.code, answer.out) == (code, "")
    assert says in answer.err
    assert answer.err.startswith("flash: ")
    assert answer.err.count("\n") == 1


def test_a_broker_that_is_away_is_one_line(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flash.commands.session.CONNECT_S", 0.2)
    monkeypatch.setenv("FLASH_BROKER_URL", "amqp://guest:guest@127.0.0.1:9/")
    answer = ask("online")
    assert (answer.code, answer.err) == (1, "flash: the broker cannot be reached\n")


def test_rabbitmq_and_the_embedded_broker_tell_the_same(
    ask: Ask, lived: Path, rabbitmq: AnyRabbit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = rabbitmq.new_vhost()
    expected = [ask(*question) for question in QUESTIONS]
    asyncio.run(_publish_again(lived, url))
    capsys.readouterr()  # what our own broker logged
    monkeypatch.setenv("FLASH_BROKER_URL", url)
    monkeypatch.setenv("FLASH_DATA_DIR", str(tmp_path))
    assert [ask(*question) for question in QUESTIONS] == expected
    assert (tmp_path / "audit.db").exists()


async def _publish_again(lived: Path, url: str) -> None:
    bodies = [item.body async for item in EmbeddedReader(lived / "broker.db").read_stream(topology.HISTORY, follow=False)]
    broker = RabbitBroker(url, "test")
    await broker.start()
    await broker.wait_connected(20)
    await broker.publish([Outgoing(topology.EVENTS, "h1.1", body) for body in bodies])
    await broker.close()


async def test_follow_prints_what_comes_while_the_servers_run(tmp_path: Path) -> None:
    town = Town(tmp_path)
    await town.start("h1")
    ann, bob = town.person("ann", "h1"), town.person("bob", "h1")
    await ann.opens()
    await town.settled()
    env = {name: value for name, value in os.environ.items() if name != "FLASH_BROKER_URL"}
    line = [FLASH, "audit", "log", "--follow", "--json", "--user", "ann", "--data", str(tmp_path)]
    process = await asyncio.create_subprocess_exec(*line, env=env, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None

    async def topic() -> str:
        assert process.stdout is not None
        return str(json.loads(await asyncio.wait_for(process.stdout.readline(), 30))["topic"])

    try:
        assert [await topic(), await topic()] == ["user.adopted", "user.logged_in"]
        await ann.adds(bob)
        assert await topic() == "user.contact_added"
        await ann.sends(bob, "hi")
        assert await topic() == "user.message_sent"
        await bob.adds(ann)
        assert await topic() == "user.contacter_added"
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 20) == 130
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await town.stop()


def test_text_is_for_those_who_may_read_the_keys(ask: Ask, lived: Path) -> None:
    keys = lived / "keys" / "h1.db"
    keys.rename(keys.with_suffix(".away"))
    try:
        answer = ask("log", "--text")
        assert (answer.code, answer.err.count("\n")) == (1, 1)
        assert answer.err.startswith(f"flash: --text: the keys of h1 cannot be read here: {keys}")
        assert "pop over?" not in answer.out
        assert ask("log").code == 0
        assert not keys.exists(), "none are made"
    finally:
        keys.with_suffix(".away").rename(keys)


def test_what_was_erased_shows_as_erased(ask: Ask, lived: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(lived, copy)
    monkeypatch.setenv("FLASH_DATA_DIR", str(copy))
    for home in ("h1", "h2"):
        keys = open_keys("", f"sqlite:///{copy}/{home}.db", home)
        keys.destroy(1)
        keys.close()
    log = ask("log", "--text")
    assert "pop over?" not in log.out
    assert "text=(erased)" in log.out
    assert "text=on my way" in log.out, "bob's words are still there"
    assert "Bobby" not in log.out
    assert "text=(erased)" in ask("state", "--user", "bob", "--at", "2023-11-14T22:13:30Z", "--text").out


def test_doubtful_times_are_told_beside_the_answer(capsys):
    """An answer for programs stays what it is."""
    printing.doubts([Doubt("h1", 4, 9, 3, False), Doubt("h1", 12, 12, 1, False), Doubt("h2", 7, 7, 1, True)])
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == [
        "flash: h1: the times of 3 events from position 4 to 9 are doubtful, because they run backwards; the order of the log counts",
        "flash: h1: the times of position 12 are doubtful, because they run backwards; the order of the log counts",
        "flash: h2: at position 7 ops accepted that its clock was put right; times before it were ahead",
    ]


def test_an_event_that_is_doubtful_says_so(capsys):
    row = AuditRow(1, "h1", 4, "user-2", 3, "user.logged_off", START + 60, 2, "bob", "c", b"", START, "h2")
    printing.entry(row, {"reason": "lost"}, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["told"], told["foreign"], told["fields"]) == ("2023-11-14T22:13:20.000000Z", "lives at h2", {"reason": "lost"})
    printing.entry(row, {"reason": "lost"}, as_json=False)
    assert "told=2023-11-14T22:13:20.000000Z  foreign=lives at h2  reason=lost" in capsys.readouterr().out
