"""Settings from the environment and from files. Rule: a bad one names its variable and changes nothing."""

from pathlib import Path

import pytest

from flash.process.compose import signing_key
from flash.process.settings import BadSetting, Settings
from servers.security.integrators import PresenceGrant


def test_nothing_set_is_the_default() -> None:
    assert Settings.read({}) == Settings()


def test_an_empty_variable_counts_as_unset() -> None:
    assert Settings.read({"FLASH_BLANK_S": " ", "FLASH_STORE_URL_FILE": ""}) == Settings()


def test_a_secret_comes_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "store_url"
    secret.write_text("postgresql://flash:secret@db/flash\n")
    assert Settings.read({"FLASH_STORE_URL_FILE": str(secret)}).store_url == "postgresql://flash:secret@db/flash"


def test_the_signing_key_lies_with_the_data_unless_told_otherwise(tmp_path: Path) -> None:
    assert signing_key(Settings.read({"FLASH_DATA_DIR": str(tmp_path)})) == tmp_path / "global" / "signing-key.pem"
    assert signing_key(Settings.read({"FLASH_SIGNING_KEY_FILE": "/run/secrets/signing"})) == Path("/run/secrets/signing")


def test_integrators_are_read_with_what_they_are_granted() -> None:
    granted = Settings.read({"FLASH_INTEGRATORS": "CRM=all; desk=organisation:Acme  Ltd; door=uids:2,3"}).integrators
    assert granted == {
        "crm": PresenceGrant(everybody=True),
        "desk": PresenceGrant(organisation="acme ltd"),
        "door": PresenceGrant(uids=frozenset({2, 3})),
    }


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("FLASH_BLANK_S", "0"),
        ("FLASH_BLANK_S", "soon"),
        ("FLASH_MAX_CONNECTIONS", "1.5"),
        ("FLASH_STORE_URL", "mysql://x"),
        ("FLASH_LOG_LEVEL", "loud"),
        ("FLASH_INTEGRATORS", "crm"),
        ("FLASH_BROKER_USERS", "h1"),
        ("FLASH_BROKER_USERS", "h1="),
        ("FLASH_BROKER_USERS", "h1=a=b"),
        ("FLASH_INTEGRATORS", "crm=all; crm=uids:1"),
    ],
)
def test_a_bad_value_names_its_variable_and_not_itself(variable: str, text: str) -> None:
    with pytest.raises(BadSetting, match=f"^{variable}: expected ") as refusal:
        Settings.read({variable: text})
    assert text not in str(refusal.value).partition("expected")[0]


def test_a_bad_value_in_a_file_is_a_bad_value(tmp_path: Path) -> None:
    secret = tmp_path / "broker"
    secret.write_text("http://no-broker")
    with pytest.raises(BadSetting, match=r"^FLASH_BROKER_URL: expected amqp://"):
        Settings.read({"FLASH_BROKER_URL_FILE": str(secret)})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"^FLASH_BROKER_URL_FILE: expected a file"):
        Settings.read({"FLASH_BROKER_URL_FILE": str(tmp_path / "nothing")})


def test_a_value_and_a_file_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"^FLASH_BLANK_S: expected either"):
        Settings.read({"FLASH_BLANK_S": "5", "FLASH_BLANK_S_FILE": str(tmp_path)})


def test_a_cluster_has_several_addresses() -> None:
    assert Settings.read({"FLASH_BROKER_URL": "amqp://a:b@n1/, amqp://a:b@n2/"}).broker_url == "amqp://a:b@n1/,amqp://a:b@n2/"
    with pytest.raises(BadSetting, match=r"^FLASH_BROKER_URL: expected"):
        Settings.read({"FLASH_BROKER_URL": "amqp://a:b@n1/,n2"})
