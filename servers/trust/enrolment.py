"""How a home becomes known: a secret that the ops made, good once and for an hour. Rule: the secret itself never travels; each side proves
that it has it, and the home believes no key of the Global Server but the one whose fingerprint the secret carries.

The secret lies among the Global Server's records until it was used. Whoever can write those can enrol a home: that is whoever works on the
Global Server's machine, and nobody who comes by the web.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

from msgspec import MsgspecError, Struct, msgpack
from msgspec.structs import replace

from domain.registry.registered_home import GLOBAL, HOME_NAME
from servers.trust.records import ENROLMENT, IDENTITY, Records
from servers.trust.server_identity import NotBelieved, ServerIdentity, new_key

GOOD_FOR_S = 3_600.0  # time enough to carry it to another machine, and not to be found there a day later
SECRET_BYTES = 32
FINGERPRINT_BYTES = 32


class Enrol(Struct, frozen=True, kw_only=True, tag_field="ask", tag="enrol"):
    """A home wants to become known. `card` holds its box keys only, signed with `key`; `proof` shows that it has the secret."""

    name: str
    key: bytes
    url: str
    life: int
    nonce: bytes
    box_keys: tuple[bytes, ...]
    proof: bytes


class Enrolled(Struct, frozen=True, kw_only=True):
    """The home's certificate and the Global Server's card; `proof` shows that who gives them has the secret. Or why not."""

    certificate: bytes = b""
    card: bytes = b""
    proof: bytes = b""
    refused: str = ""


class OpenSecret(Struct, frozen=True, kw_only=True):
    """A secret as the Global Server has it. `url`: where the home may be reached, empty for wherever it says; `expires`: 0 for an hour
    after the Global Server has seen it; `by_ops`: whether a person made it, and not a home that shares the Global Server's directory;
    `used_by`: the key that was enrolled with it, whose owner may ask again for an answer that was lost."""

    secret: bytes
    url: str
    expires: float
    by_ops: bool
    used_by: bytes = b""


@dataclass(frozen=True, slots=True)
class Secret:
    """What a home was given. It shows in no log."""

    home: str
    fingerprint: bytes
    secret: bytes

    def __repr__(self) -> str:
        return f"Secret({self.home})"

    @property
    def text(self) -> str:
        """As people carry it."""
        return f"{self.home}.{urlsafe_b64encode(self.fingerprint + self.secret).decode().rstrip('=')}"

    @classmethod
    def read(cls, text: str) -> "Secret":
        """What `text` says. Raises `ValueError`."""
        home, _, rest = text.strip().partition(".")
        both = urlsafe_b64decode(rest + "=" * (-len(rest) % 4))
        if not HOME_NAME.fullmatch(home) or len(both) != FINGERPRINT_BYTES + SECRET_BYTES:
            raise ValueError("not a secret of `flash enroll`")
        return cls(home, both[:FINGERPRINT_BYTES], both[FINGERPRINT_BYTES:])


def fingerprint(key: bytes) -> bytes:
    """What tells one public key from all others."""
    return hashlib.sha256(key).digest()


def open_secret(records: Records, home: str, *, url: str = "", expires: float, by_ops: bool, make_identity: bool = False) -> Secret | None:
    """Let `home` be enrolled with a new secret; an older one that was not used is worth nothing from now on. `records` are the Global
    Server's. None where the Global Server has no identity yet, unless one may be made. Blocks. Raises `Unavailable`."""
    key = records.first(IDENTITY, new_key) if make_identity else records.read(IDENTITY)
    if key is None:
        return None
    secret = secrets.token_bytes(SECRET_BYTES)
    records.put(ENROLMENT + home, packed(OpenSecret(secret=secret, url=url, expires=expires, by_ops=by_ops)))
    return Secret(home, fingerprint(ServerIdentity(GLOBAL, key).public), secret)


def ask_to_enrol(secret: Secret, identity: ServerIdentity, url: str, life: int, box_keys: tuple[bytes, ...]) -> Enrol:
    """What a home says that has a secret."""
    nonce = secrets.token_bytes(SECRET_BYTES)
    proof = _proof(secret.secret, "enrol", (identity.name, identity.public, url, life, nonce, box_keys))
    return Enrol(name=identity.name, key=identity.public, url=url, life=life, nonce=nonce, box_keys=box_keys, proof=proof)


def take_secret(records: Records, asked: Enrol, now: float) -> OpenSecret:
    """The secret that `asked` proves to have, which is used up by this. Blocks. Raises `NotBelieved`, `Unavailable`."""
    stored = records.read(ENROLMENT + asked.name)
    if stored is None:
        raise NotBelieved(f"no secret for {asked.name} is open")
    opened = read_open_secret(stored)
    wanted = _proof(opened.secret, "enrol", (asked.name, asked.key, asked.url, asked.life, asked.nonce, asked.box_keys))
    if not hmac.compare_digest(wanted, asked.proof):
        raise NotBelieved(f"this is not the secret for {asked.name}")
    if opened.expires and now >= opened.expires:
        raise NotBelieved(f"the secret for {asked.name} was good until an hour after it was made")
    if opened.url not in ("", asked.url):
        raise NotBelieved(f"the secret for {asked.name} is for another URL")
    if opened.used_by != asked.key:
        used = packed(replace(opened, used_by=asked.key))
        if opened.used_by or not records.change(ENROLMENT + asked.name, stored, used):
            raise NotBelieved(f"the secret for {asked.name} was used")
    return opened


def packed(opened: OpenSecret) -> bytes:
    """A secret as it is stored."""
    return msgpack.encode(opened)


def read_open_secret(stored: bytes) -> OpenSecret:
    """A stored secret. Raises `NotBelieved`."""
    try:
        return msgpack.decode(stored, type=OpenSecret)
    except MsgspecError:
        raise NotBelieved("the stored secret is unreadable") from None


def answer_enrolled(opened: OpenSecret, asked: Enrol, certificate: bytes, card: bytes) -> Enrolled:
    """What the Global Server says to a home that proved its secret."""
    return Enrolled(certificate=certificate, card=card, proof=_proof(opened.secret, "enrolled", (asked.nonce, certificate, card)))


def check_enrolled(secret: Secret, asked: Enrol, told: Enrolled, global_key: bytes) -> None:
    """Whether it is the Global Server that answers, whose key, `global_key`, its card names. Raises `NotBelieved`."""
    wanted = _proof(secret.secret, "enrolled", (asked.nonce, told.certificate, told.card))
    if not hmac.compare_digest(wanted, told.proof):
        raise NotBelieved("who answers does not have the secret")
    if fingerprint(global_key) != secret.fingerprint:
        raise NotBelieved("who answers is not the Global Server whose fingerprint the secret carries")


def _proof(secret: bytes, purpose: str, what: tuple[object, ...]) -> bytes:
    return hmac.digest(secret, f"flash {purpose}\0".encode() + msgpack.encode(what), "sha256")
