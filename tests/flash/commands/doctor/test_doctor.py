"""`flash doctor`: each thing that can be wrong is made wrong for real, and found. Rule: the remark says what to do."""

import asyncio
import dataclasses
import json
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import msgpack
import psycopg
import pytest

from broker.rabbitmq.broker import RabbitBroker
from broker.topology import QUEUES
from clients.command_line.running import run
from flash.cli import people
from flash.commands.doctor.machine import FAILURE, OK, WARNING, Remark, clock_remark, descriptor_remarks
from flash.process.settings import Settings
from servers.encryption.key_tables import SqliteKeys
from servers.messaging.eras import RECORD
from servers.trust import certificate
from servers.trust.records import CERTIFICATE, HOMES, Records
from servers.trust.trust import Trust
from tests.faults.test_rolling_restart import stand_ins
from tests.servers.maintenance.losses import ruin
from tests.support import alarms
from tests.support.ports import free_ports

CLOSED = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def ruined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("patient")
    asyncio.run(ruin(directory))
    return directory


@pytest.fixture
def data(ruined: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for setting in dataclasses.fields(Settings):
        monkeypatch.delenv(setting.metadata["variable"], raising=False)
    monkeypatch.setenv("FLASH_MAX_CONNECTIONS", "100")
    data = shutil.copytree(ruined, tmp_path / "data")
    certified(data, time.time())  # that of the ruin is as old as the clock of its town
    return data


def certified(data: Path, now: float) -> int:
    """Give h1 a certificate that begins at `now`; its number."""
    with closing(SqliteKeys(data / "keys" / "global.db")) as table, closing(SqliteKeys(data / "keys" / "h1.db")) as mine:
        by, trust = Trust("global", table, lambda: now), Trust("h1", mine, lambda: now)
        trust.peers.hold(certificate.issue(by.identity, name="h1", urls=(), key=trust.identity.public, life=0, after=0, now=now))
        trust.peers.save()
        by.peers.learn(trust.card)
        by.peers.save()
        assert trust.peers.held is not None
        return trust.peers.held.number


@pytest.fixture
def examine(data, capsys, monkeypatch):
    """The remarks, and the exit code."""

    def look(**environment: object) -> tuple[list[Remark], int]:
        port = environment.pop("port", None) or free_ports(1)[0]
        for name, value in environment.items():
            monkeypatch.setenv(f"FLASH_{name}", str(value))
        capsys.readouterr()  # what the test's own broker logged
        code = run(people(), ["doctor", "h1", "--data", str(data), "--json", "--port", str(port)])
        return [Remark(**json.loads(line)) for line in capsys.readouterr().out.splitlines()], code

    return look


def of(remarks: list[Remark], check: str) -> list[tuple[str, str]]:
    return [(remark.state, remark.says) for remark in remarks if remark.check == check]


def test_a_healthy_home_that_does_not_run(examine, data, capsys):
    remarks, code = examine()
    assert code == 0
    assert {remark.check for remark in remarks if remark.state == OK} == {
        "settings", "files", "descriptors", "space", "store", "identity", "broker", "port",
    }  # fmt: skip
    assert all(remark.do for remark in remarks if remark.state != OK)
    assert run(people(), ["doctor", "h1", "--data", str(data)]) in (0, 1)
    assert "ok      store: " in capsys.readouterr().out


def test_a_damaged_store(examine, data):
    with closing(sqlite3.connect(data / "h1.db")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'stored_events'").fetchone()[0]
    with (data / "h1.db").open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    remarks, code = examine()
    assert code == 1
    assert of(remarks, "store")[0][0] == FAILURE
    (data / "h1.db").write_bytes(b"no database at all" * 100)
    assert [state for state, _ in of(examine()[0], "store")] == [FAILURE]
    (data / "h1.db").unlink()
    assert [state for state, _ in of(examine()[0], "store")] == [WARNING]


def test_a_disk_that_is_nearly_full(examine, monkeypatch):
    for free, state in ((500_000_000, WARNING), (50_000_000, FAILURE)):
        monkeypatch.setattr("shutil.disk_usage", lambda path, free=free: shutil._ntuple_diskusage(10**12, 10**12 - free, free))
        assert of(examine()[0], "space")[0][0] == state


def test_secrets_that_others_can_read(examine, data, tmp_path):
    (data / "keys" / "h1.db").chmod(0o644)
    secret = tmp_path / "store_url"
    secret.write_text(f"sqlite:///{data}/h1.db")
    secret.chmod(0o640)
    remarks, _ = examine(STORE_URL_FILE=secret)
    assert [says for state, says in of(remarks, "files") if state == WARNING] == [
        f"{data}/keys/h1.db can be read by others (644)",
        f"{secret} can be read by others (640)",
    ]


def test_a_data_directory_that_is_none(examine, data):
    shutil.rmtree(data)
    data.write_text("a file")
    remarks, code = examine()
    assert (of(remarks, "files")[0][0], code) == (FAILURE, 1)


def test_too_few_descriptors():
    (remark,) = descriptor_remarks(Settings(max_connections=5_000), lambda which: (1_024, 4_096))
    assert (remark.state, "LimitNOFILE=5200" in remark.do) == (WARNING, True)


def test_settings_that_contradict_each_other(examine):
    said = of(examine(HOST="0.0.0.0")[0], "settings")  # noqa: S104 - what is wrong
    assert said == [(FAILURE, "clients are told to come to 127.0.0.1")]
    said = of(examine(PUBLIC_URL="http://flash.example.org", BLANK_S=90, RESTART_GRACE_S=1)[0], "settings")
    assert [state for state, _ in said] == [WARNING] * 3


def test_a_port_that_another_program_has_and_a_proxy_that_leads_elsewhere(examine):
    with stand_ins() as servers:
        here, other = servers["h1"], servers["h2"]
        assert of(examine(port=here.server_port)[0], "port")[0][0] == OK
        other.life = 7.0
        remarks, code = examine(port=here.server_port, PUBLIC_URL=other.url)
        assert (of(remarks, "public URL"), code) == ([(FAILURE, f"{other.url} leads to another server")], 1)
        assert of(remarks, "clock")[0][0] == OK
        assert of(examine(port=here.server_port, PUBLIC_URL=CLOSED)[0], "public URL")[0][0] == FAILURE
        here.life = None
        remarks, code = examine(port=here.server_port, PUBLIC_URL=here.url)
        assert (of(remarks, "port")[0][0], code) == (FAILURE, 1)


def test_what_a_server_says_of_itself(examine):
    with stand_ins() as servers:
        here = servers["h1"]
        assert of(examine(port=here.server_port)[0], "ready") == [(WARNING, "The broker is away.")]
        here.ready = False
        remarks, code = examine(port=here.server_port)
        assert (of(remarks, "ready"), code) == ([(FAILURE, "/readyz says 503")], 1)


def test_a_clock_that_is_wrong():
    states = [clock_remark(skew, "the database").state for skew in (0.5, -1.5, 10, -10, 40, -40)]
    assert states == [OK, OK, WARNING, WARNING, FAILURE, FAILURE]
    assert clock_remark(10, "the database").says == "10 s behind the database"


async def prepared(url: str) -> None:
    """What servers make when they start."""
    broker = RabbitBroker(url, "global")
    await broker.start()
    await broker.wait_connected(20)
    await broker.declare_inbox("h1")
    await broker.close()


def test_a_broker_that_is_away_or_refuses_or_is_empty_or_unattended(examine, rabbitmq):
    url = rabbitmq.new_vhost()
    remarks, code = examine(BROKER_URL=url)
    assert [of(remarks, check)[0][0] for check in ("broker", "alarms")] == [OK, OK]
    assert of(remarks, "queues") == [
        (WARNING, f"there is no {name}") for name in (*(queue.name for queue in QUEUES), "flash.home.h1", "flash.calls.h1")
    ]
    asyncio.run(prepared(url))
    assert [state for state, _ in of(examine(BROKER_URL=url)[0], "queues")] == [OK, OK, OK, OK, WARNING, OK]
    assert [state for state, _ in of(examine(BROKER_URL=url)[0], "broker")] == [OK, WARNING], "guest is not h1"
    assert [state for state, _ in of(examine(BROKER_URL=url, BROKER_USERS="h1=guest")[0], "broker")] == [OK]
    assert [state for state, _ in of(examine(BROKER_URL=url, BROKER_USERS="h1=guest,*=guest")[0], "broker")] == [OK, WARNING]
    parts = urlsplit(url)
    wrong = parts._replace(netloc=f"{parts.username}:wrong@{parts.hostname}:{parts.port}").geturl()
    remarks, code = examine(BROKER_URL=wrong)
    assert (of(remarks, "broker")[0][0], code) == (FAILURE, 1)
    assert "wrong" not in of(remarks, "broker")[0][1]
    remarks, code = examine(BROKER_URL="amqp://guest:guest@127.0.0.1:1/")
    assert (of(remarks, "broker")[0][0], code) == (FAILURE, 1)


def test_a_broker_that_is_short_of_something(examine, rabbitmq):
    if not rabbitmq.can_be_controlled:
        pytest.skip("alarms can only be raised at a RabbitMQ of our own")
    try:
        alarms.low_on_memory(rabbitmq)
        alarms.low_on_disk(rabbitmq)
        remarks, code = examine(BROKER_URL=rabbitmq.new_vhost())
    finally:
        alarms.end(rabbitmq)
    (remark,) = [remark for remark in remarks if remark.check == "alarms"]
    assert (remark.state, code) == (FAILURE, 1)
    assert all(resource in remark.says for resource in ("memory", "disk"))
    assert all(cure in remark.do for cure in ("vm_memory_high_watermark", "disk_free_limit"))


def test_a_user_who_may_too_little_at_the_broker(examine, rabbitmq):
    if not rabbitmq.can_be_controlled:
        pytest.skip("users can only be made on a RabbitMQ of our own")
    url = rabbitmq.new_vhost()
    asyncio.run(prepared(url))
    parts = urlsplit(url)
    rabbitmq.ctl("add_user", "stranger", "stranger")
    stranger = parts._replace(netloc=f"stranger:stranger@{parts.hostname}:{parts.port}").geturl()
    remarks, code = examine(BROKER_URL=stranger)
    assert (of(remarks, "broker")[0][0], code) == (FAILURE, 1), "not even into the vhost"
    rabbitmq.ctl("set_permissions", "-p", parts.path.removeprefix("/"), "stranger", "^$", "^$", "^$")
    remarks, code = examine(BROKER_URL=stranger)
    assert of(remarks, "alarms")[0][0] == WARNING, "who may not publish is told nothing"
    assert (of(remarks, "broker")[0][0], [state for state, _ in of(remarks, "queues")], code) == (OK, [OK, OK, OK, OK, WARNING, FAILURE], 1)
    assert [remark.do for remark in remarks if remark.state == FAILURE] == ["deploy/rabbitmq/permissions.sh h1 | sh"]


def test_a_database_that_is_away_or_allows_too_little(examine, postgres):
    url = postgres.new_database()
    remarks, code = examine(STORE_URL=url)
    assert (of(remarks, "store")[0][0], of(remarks, "clock")[0][0]) == (OK, OK)
    with psycopg.connect(url, autocommit=True) as database:
        name = database.info.dbname
        database.execute("DROP ROLE IF EXISTS flash_weak")
        database.execute("CREATE ROLE flash_weak LOGIN PASSWORD 'weak'")
        database.execute(f'REVOKE ALL ON DATABASE "{name}" FROM public'.encode())
        database.execute(f'GRANT CONNECT ON DATABASE "{name}" TO flash_weak'.encode())
    parts = urlsplit(url)
    with psycopg.connect(url, autocommit=True) as database:
        for schema in ("flash_h1", "flash_h2", "flash_keys_h1"):
            database.execute(f"CREATE SCHEMA {schema}".encode())
        said = of(examine(STORE_URL=url)[0], "store")
        for schema in ("flash_h1", "flash_h2", "flash_keys_h1"):
            database.execute(f"DROP SCHEMA {schema}".encode())
    assert [state for state, _ in said] == [OK, WARNING]
    assert "the schema flash_keys_h1, the schema flash_h2" in said[1][1]
    weak = parts._replace(netloc=f"flash_weak:weak@{parts.hostname}:{parts.port}").geturl()
    remarks, code = examine(STORE_URL=weak)
    assert (code, of(remarks, "store")) == (1, [(FAILURE, "there is no schema of h1, and this user may make none")])
    remarks, code = examine(STORE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert (code, of(remarks, "store")[0][0]) == (1, FAILURE)


def test_a_home_that_is_not_enrolled_is_revoked_or_has_an_old_certificate(data, examine):
    assert of(examine()[0], "identity")[0][0] == OK
    for days, state, says in ((340, WARNING, "ends on"), (366, FAILURE, "ended on")):
        with closing(SqliteKeys(data / "keys" / "h1.db")) as table:
            Records(table).change(CERTIFICATE, Records(table).read(CERTIFICATE), None)
        number = certified(data, time.time() - days * 86_400)
        ((found, said),) = of(examine()[0], "identity")
        assert (found, says in said) == (state, True)
    with closing(SqliteKeys(data / "keys" / "h1.db")) as table:
        peers = Trust("h1", table).peers
        peers.revoke("h1", number)
        peers.save()
    assert of(examine()[0], "identity") == [(FAILURE, "h1 was revoked: no server believes it")]
    with closing(SqliteKeys(data / "keys" / "h1.db")) as table:
        Records(table).change(CERTIFICATE, Records(table).read(CERTIFICATE), None)
    remarks, code = examine()
    assert of(remarks, "identity") == [(FAILURE, "h1 is not enrolled")]
    assert code == 1
    for path in (data / "keys").glob("h1.db*"):
        path.unlink()
    assert of(examine()[0], "identity") == [(WARNING, "h1 has no identity here")]
    assert not (data / "keys" / "h1.db").exists(), "the doctor makes nothing"


def test_the_global_server_names_each_home(data, capsys):
    with closing(SqliteKeys(data / "keys" / "global.db")) as table:
        Records(table).put(HOMES, msgpack.packb({"h1": "http://h1", "h9": "http://h9"}))
        for stream, former in (("flash.history", 0), ("flash.presence.log", 1_764_000_000_000_000)):
            Records(table).put(f"{RECORD}{stream}", msgpack.packb([1_764_500_000_000_000, False, 0, b"", former]))
    capsys.readouterr()
    run(people(), ["doctor", "global", "--data", str(data), "--json", "--port", str(free_ports(1)[0])])
    remarks = [Remark(**json.loads(line)) for line in capsys.readouterr().out.splitlines()]
    assert of(remarks, "eras") == [
        (OK, "flash.history is in era 1764500000000000, since 2025-11-30 10:53 UTC"),
        (
            OK,
            "flash.presence.log is in era 1764500000000000, since 2025-11-30 10:53 UTC; the broker lost it in era 1764000000000000, "
            "and the servers published it again",
        ),
    ]
    told = of(remarks, "identity")
    assert told[0][0] == OK
    assert told[0][1].startswith("h1 is certified until 20")
    assert (WARNING, "h9 is not enrolled: no server believes it") in told
