"""The Global Server's private key, which signs tokens. Rule: the key file is written whole or not at all, and never over another.

`servers/security/tokens.py` says what a token is, and verifies it.
"""

import hashlib
import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key
from jwt.algorithms import OKPAlgorithm

from servers.security.tokens import ALGORITHM, ISSUER

log = structlog.get_logger()


class Signer:
    """Signs tokens with one private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        public = key.public_key()
        self._public = {**OKPAlgorithm.to_jwk(public, as_dict=True), "use": "sig", "alg": ALGORITHM, "kid": _key_id(public)}

    @classmethod
    def load_or_create(cls, path: Path) -> "Signer":
        """The key in the PEM file at `path`; a new one, readable by its owner only, when there is none.

        Of several processes that start at once, one creates it and all use it. Raises `ValueError` for a file with something else,
        `OSError` when it cannot be read or written.
        """
        try:
            pem = path.read_bytes()
        except FileNotFoundError:
            pem = _create(path)
        if path.stat().st_mode & 0o077:
            log.warning("tokens.key_readable_by_others", path=str(path))
        try:
            key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError(f"{path}: expected an Ed25519 private key in PEM form, without a password")
        return cls(key)

    def public_keys(self) -> list[dict[str, str]]:
        """The public keys for verifiers, as JSON Web Keys (RFC 7517)."""
        return [dict(self._public)]

    def issue(
        self,
        *,
        uid: int,
        handle: str,
        name: str,
        home: str,
        home_url: str,
        audiences: Sequence[str] = (),
        now: float,
        lifetime_s: float,
        roles: Iterable[str] = (),
    ) -> str:
        """A token for `uid`, good for `audiences` until `now + lifetime_s` (seconds since 1970). A token that names no audience is read as
        one of old clients; servers of before audiences believe no other."""
        claims: dict[str, Any] = {"iss": ISSUER, "sub": str(uid), "handle": handle, "name": name, "home": home, "home_url": home_url}
        claims |= {"iat": int(now), "exp": now + lifetime_s}
        if audiences:
            claims["aud"] = list(audiences)
        if wanted := sorted(roles):
            claims["roles"] = wanted
        return jwt.encode(claims, self._key, algorithm=ALGORITHM, headers={"kid": self._public["kid"]})


def _create(path: Path) -> bytes:
    """Write a new key, whole or not at all, and never over another."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)  # unlike a rename, this fails when another process was first
    except FileExistsError:
        return path.read_bytes()
    finally:
        draft.unlink(missing_ok=True)
    log.info("tokens.key_created", path=str(path))
    return pem


def _key_id(public: Ed25519PublicKey) -> str:
    """A name for a public key that follows from the key: the first half of its SHA-256."""
    digest = hashlib.sha256(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).digest()
    return urlsafe_b64encode(digest[:16]).rstrip(b"=").decode()
