"""The Ed25519 key that makes a server itself, and what it signs. Rule: a signature names its purpose, so it is good for no other one."""

from typing import Any, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import MsgspecError, Struct, msgpack

SIGNATURE_BYTES = 64
KEY_BYTES = 32
S = TypeVar("S", bound=Struct)


class NotBelieved(ValueError):
    """What another server says is not proven. The text says why, and names no secret."""


class ServerIdentity:
    """One server's name and private key."""

    def __init__(self, name: str, key: bytes) -> None:
        """`key`: the 32 bytes of an Ed25519 private key."""
        self.name = name
        self._key = Ed25519PrivateKey.from_private_bytes(key)
        self.public = self._key.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return f"ServerIdentity({self.name})"  # never the key

    def sign(self, purpose: str, body: bytes) -> bytes:
        """The 64 bytes that prove that this server said `body` for `purpose`."""
        return self._key.sign(_signed_bytes(purpose, body))

    def signed(self, purpose: str, statement: Struct) -> bytes:
        """A statement with its signature, as it travels; `read_signed` reads it."""
        body = msgpack.encode(statement)
        return msgpack.encode((body, self.sign(purpose, body)))


def new_key() -> bytes:
    """A new private key."""
    return Ed25519PrivateKey.generate().private_bytes_raw()


def verify(public: bytes, purpose: str, body: bytes, signature: bytes) -> bool:
    """Whether the owner of `public` signed `body` for `purpose`."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, _signed_bytes(purpose, body))
    except (InvalidSignature, ValueError):
        return False
    return True


def read_signed(public: bytes, purpose: str, raw: bytes, shape: type[S]) -> S:
    """The statement in what `ServerIdentity.signed` made. Raises `NotBelieved`."""
    if not verify(public, purpose, *_body_and_signature(raw)):
        raise NotBelieved(f"the signature of this {purpose} does not fit")
    return read_unproven(raw, shape)


def read_unproven(raw: bytes, shape: type[S]) -> S:
    """The statement, whoever signed it: for one that holds the key with which it is checked afterwards. Raises `NotBelieved`."""
    try:
        return msgpack.decode(_body_and_signature(raw)[0], type=shape)
    except MsgspecError:
        raise NotBelieved("this statement has another shape") from None


def _body_and_signature(raw: bytes) -> tuple[bytes, bytes]:
    try:
        parts: tuple[bytes, bytes] = msgpack.decode(raw, type=tuple[bytes, bytes])
    except (MsgspecError, TypeError):
        raise NotBelieved("this is no signed statement") from None
    return parts


def _signed_bytes(purpose: str, body: bytes) -> Any:
    return b"flash " + purpose.encode() + b"\0" + body
