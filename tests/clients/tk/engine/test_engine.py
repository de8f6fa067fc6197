"""The popup client without its windows, against real servers: signed in, offline, killed, and on two desks at once."""

import asyncio
import sqlite3
import ssl
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from clients.tk.engine.error_sentences import sentence
from clients.tk.model.inputs import ChangeContact, CloseMessage, RemoveContact, SetStatus, SignIn, SignOut, UndoRemoval
from clients.tk.model.values import OwnStatus, SentState
from flash_sdk import FlashClient, Unreachable
from tests.clients.tk.engine.person import PASSWORD, Person
from tests.clients.tk.servers import RunningServer


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("servers")) as server:
        yield server


def test_a_popup_arrives_and_is_answered(servers: RunningServer, tmp_path: Path) -> None:
    with Person(tmp_path / "ann", servers.url) as ann, Person(tmp_path / "bob", servers.url) as bob:
        ann.signs_in("ann")
        bob.signs_in("bob")
        to_bob = ann.adds("bob")
        ann.see(lambda: ann.model.row(to_bob).status == "online")
        sent = ann.writes(to_bob, "pop over?")
        popup = bob.see(lambda: bob.model.open_popups)[0]
        assert popup.key == (ann.uid, sent)
        assert bob.model.row(ann.uid).unread == 1
        assert not bob.model.row(ann.uid).listed
        ann.see(lambda: ann.state(sent) is SentState.DELIVERED)
        answer = bob.writes(ann.uid, "in a minute", answers=popup.key)  # ann is not on bob's list: she is put there first
        assert not bob.model.open_popups
        ann.see(lambda: ann.state(sent) is SentState.DONE)
        shown = ann.see(lambda: [each for each in ann.model.open_popups if each.kind == "message"])[0]
        assert shown.key == (bob.uid, answer)
        message = ann.model.message((bob.uid, answer))
        assert message is not None
        thread = ann.model.answered(message)
        assert thread is not None
        assert thread.text == "pop over?"
        ann.do(CloseMessage((bob.uid, answer)))
        bob.see(lambda: bob.state(answer) is SentState.DONE)


def test_what_is_wrong_is_said_in_one_sentence(servers: RunningServer, tmp_path: Path) -> None:
    with Person(tmp_path, servers.url) as carl:
        carl.signs_in("carl")
        carl.do(SignOut())
        carl.see(lambda: carl.model.account is None)
        carl.do(SignIn(servers.url, "carl", "wrong password"))
        carl.see(lambda: carl.model.sign_in.error == "Handle or password is wrong.")
        carl.do(SignIn(servers.url, "carl", PASSWORD, register=True))
        carl.see(lambda: carl.model.sign_in.error == "This handle is taken: choose another one.")
        carl.do(SignIn("http://127.0.0.1:9", "carl", PASSWORD))
        carl.see(lambda: carl.model.sign_in.error.startswith("No answer from http://127.0.0.1:9"))
        carl.do(SignIn("carl's computer", "carl", PASSWORD))
        carl.see(lambda: "is not a server's URL" in carl.model.sign_in.error)
        assert carl.model.connection.state == "signed_out"


def test_the_grant_is_remembered_until_sign_out(servers: RunningServer, tmp_path: Path) -> None:
    with Person(tmp_path, servers.url) as dora:
        dora.signs_in("dora")
    kept = [path for path in (tmp_path / "config").rglob("*.json") if "token" in path.read_text()]
    assert [path.stat().st_mode & 0o777 for path in kept] == [0o600]
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "data").rglob("*.sqlite3")] == [0o600]
    with Person(tmp_path, servers.url) as dora:
        dora.is_connected()
        assert dora.model.account is not None
        assert dora.model.account.handle == "dora"
        dora.do(SignOut())
        dora.see(lambda: dora.model.account is None)
    assert not kept[0].exists()
    with Person(tmp_path, servers.url) as dora:
        dora.see(lambda: dora.model.sign_in.handle == "dora")
        assert dora.model.account is None


def test_two_clients_of_one_user_on_one_disk_are_told_apart(servers: RunningServer, tmp_path: Path) -> None:
    with Person(tmp_path, servers.url) as first, Person(tmp_path, servers.url) as second:
        first.signs_in("egon")
        second.see(lambda: second.model.sign_in.server)
        second.do(SignIn(servers.url, "egon", PASSWORD))
        second.see(lambda: "open for this user on this machine already" in second.model.sign_in.error)


def test_done_on_one_desk_closes_the_popup_on_the_other(servers: RunningServer, tmp_path: Path) -> None:
    with (
        Person(tmp_path / "fay", servers.url) as fay,
        Person(tmp_path / "laptop", servers.url) as laptop,
        Person(tmp_path / "desktop", servers.url) as desktop,
    ):
        fay.signs_in("fay")
        laptop.signs_in("gus")
        desktop.signs_in("gus", register=False)
        to_gus = fay.adds("gus")
        sent = fay.writes(to_gus, "lunch?")
        key = (fay.uid, sent)
        laptop.see(lambda: laptop.model.open_popups)
        desktop.see(lambda: desktop.model.open_popups)
        laptop.do(CloseMessage(key))
        desktop.see(lambda: not desktop.model.open_popups)
        assert desktop.hidden == [f"message:{fay.uid}:{sent}"]
        assert desktop.model.unread == 0
        laptop.do(SetStatus("away", "at lunch"))
        fay.see(lambda: (fay.model.row(to_gus).status, fay.model.row(to_gus).note) == ("away", "at lunch"))
        assert laptop.see(lambda: laptop.model.status.saved)
        desktop.see(lambda: desktop.model.status == OwnStatus("away", "at lunch"))
        desktop.do(SetStatus("dnd", "", datetime.now(UTC) + timedelta(hours=1)))
        desktop.see(lambda: desktop.model.status.saved)
        laptop.see(lambda: laptop.model.status == desktop.model.status)
    with Person(tmp_path / "tablet", servers.url) as tablet:
        tablet.signs_in("gus", register=False)
        assert tablet.model.status.status == "dnd"


def test_the_list_is_changed_and_undone(servers: RunningServer, tmp_path: Path) -> None:
    with Person(tmp_path / "hal", servers.url) as hal, Person(tmp_path / "ida", servers.url) as ida:
        hal.signs_in("hal")
        ida.signs_in("ida")
        to_ida = hal.adds("ida")
        hal.do(ChangeContact(to_ida, "my Ida", True))
        assert hal.model.row(to_ida).title == "my Ida"
        hal.see(lambda: not hal.model.row(to_ida).saving)
        hal.do(RemoveContact(to_ida))
        assert hal.model.groups() == ()
        assert [removal.row.title for removal in hal.model.removals] == ["my Ida"]
        hal.do(UndoRemoval(to_ida))
        assert [row.title for group in hal.model.groups() for row in group.rows] == ["my Ida"]
        hal.see(lambda: not hal.model.row(to_ida).saving)
        assert hal.model.row(to_ida).notify


def test_a_removal_reaches_the_home_when_it_can_no_longer_be_undone(servers: RunningServer, tmp_path: Path) -> None:
    with Person(tmp_path / "lea", servers.url, undo_s=0.2) as lea, Person(tmp_path / "max", servers.url) as maximilian:
        lea.signs_in("lea")
        maximilian.signs_in("max")
        to_max = lea.adds("max")
        lea.do(RemoveContact(to_max))
        lea.see(lambda: not lea.model.row(to_max).saving)
    with Person(tmp_path / "lea", servers.url) as lea:
        lea.is_connected()
        assert lea.model.groups() == ()


def test_a_contact_who_comes_online_is_told(servers: RunningServer, tmp_path: Path) -> None:
    with Person(tmp_path / "ned", servers.url) as ned:
        ned.signs_in("ned")
        with Person(tmp_path / "oda", servers.url) as oda:
            oda.signs_in("oda")
            to_oda = ned.adds("oda")
            ned.do(ChangeContact(to_oda, None, True))
            ned.see(lambda: not ned.model.row(to_oda).saving)
        ned.see(lambda: ned.model.row(to_oda).status == "offline")
        with Person(tmp_path / "oda", servers.url) as oda:
            ned.see(lambda: ned.shown == [f"online:{to_oda}"])


def test_a_grant_that_expires_signs_out_and_loses_nothing(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "servers", FLASH_TOKEN_LIFETIME_S="2") as server, Person(tmp_path / "pam", server.url) as pam:
        pam.signs_in("pam")
        to_herself = pam.adds("pam")
        sent: list[str] = []

        def writes_until_signed_out() -> bool:
            if pam.model.account is not None:
                sent.append(pam.writes(to_herself, "still there?"))
            return pam.model.account is None

        pam.see(writes_until_signed_out)
        assert pam.model.sign_in.error == "Your login has expired: sign in again."
        assert pam.model.sign_in.handle == "pam"
        pam.signs_in("pam", register=False)
        pam.see(lambda: pam.model.account is None or not pam.model.outbox)
    with closing(sqlite3.connect(next((tmp_path / "pam").rglob("*.sqlite3")))) as database:
        kept = [id for (id,) in database.execute("SELECT id FROM entries WHERE mine ORDER BY n")]
    assert kept == sent


async def test_a_certificate_that_is_not_trusted_is_named(tmp_path: Path) -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=self_signed(tmp_path))
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with FlashClient(f"https://127.0.0.1:{port}") as client:
            with pytest.raises(Unreachable) as caught:
                await client.login("ann", PASSWORD)
    assert sentence(caught.value).startswith("The server's certificate is not one that this computer trusts")


def self_signed(folder: Path) -> ssl.SSLContext:
    """What a server presents that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "server.pem"
    path.write_bytes(private + made.sign(key, hashes.SHA256()).public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def test_a_flood_after_a_login_is_one_summary(servers: RunningServer, tmp_path: Path) -> None:
    with Person(tmp_path / "jan", servers.url) as jan:
        with Person(tmp_path / "kim", servers.url) as kim:
            kim.signs_in("kim")
        jan.signs_in("jan")
        to_kim = jan.adds("kim")
        sent = [jan.writes(to_kim, f"number {n}") for n in range(40)]
        jan.see(lambda: all(jan.state(id) is SentState.ACCEPTED for id in sent))
        with Person(tmp_path / "kim", servers.url) as kim:
            kim.see(lambda: len(kim.model.inbox) == 40 and kim.model.replay is None)
            assert kim.shown == ["summary"]
            assert kim.model.open_popups[0].count == 40
            assert kim.reads(jan.uid) == [f"number {n}" for n in range(40)]
            assert not kim.model.open_popups
        with Person(tmp_path / "kim", servers.url) as kim:
            kim.is_connected()
            assert kim.shown == []
            assert len(kim.model.inbox) == 40
