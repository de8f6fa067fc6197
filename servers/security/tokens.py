"""Tokens: the Global Server signs them (`servers/security/signer.py`), and every server verifies them. Rule: only Ed25519, and neither
tokens nor keys are logged.

A token is a JWT: `sub` (uid), `handle`, `name`, `home`, `home_url`, `roles` when there are any, `aud`, `iss`, `iat`, `exp`; its header
names the key. `aud` says who believes it, so that a server to which a user shows a token cannot act as that user elsewhere.
"""

import asyncio
import hashlib
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from typing import Any

import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from jwt.algorithms import OKPAlgorithm

from domain.errors import Unauthorized, Unavailable
from runtime.bounds import Bound, Holding
from servers.security.identity import NO_ROLES, Identity

ALGORITHM = "EdDSA"
ISSUER = "flash"  # keeps apart what other programs may sign with the same key
HOME, GLOBAL, CONSOLE = "home", "global", "ops"  # audiences: the home that the token names, the Global Server's calls, its console
OF_OLD_CLIENTS = (HOME, GLOBAL)  # one token for both, as clients before version 2 of grants want it; tokens that name nobody are such
MAX_TOKEN_CHARS = 4_096  # ours have about 500; a longer one is not worth a check of its signature
DIGEST_BYTES = 20  # of a token, as the key of the cache: nobody finds another text with the same digest, and it is a tenth as long
CACHED_TOKENS = 50_000  # about 0.6 KB each; twice the sessions that one home is expected to hold
CACHED_BYTES = 50_000_000  # …and this many bytes, because a name may have 500 letters
TOKEN_BYTES, LETTER_BYTES = 600, 4  # in memory: a token whose name is short, and a letter of a name at most
TOKENS = Bound(
    name="tokens",
    holds="tokens whose signature was checked",
    filled_by="users who sign in",
    past="the token that was seen first is checked again",
    within=("KeyVerifier._known",),
    entries=CACHED_TOKENS,
    bytes=CACHED_BYTES,
    per="verifier",
    cache=True,
)
SWEEP_S = 1.0  # one pass over 50,000 tokens takes 3 ms, so that it must not be made for each of many who leave at once
_PARSE_ONLY: Any = {"verify_aud": False, "verify_exp": False, "verify_iat": False, "verify_nbf": False, "require": ["sub", "exp", "iss"]}

log = structlog.get_logger()


class KeyVerifier:
    """Checks tokens offline, with the keys it was given. A token that was seen before costs 1 µs, another about 0.2 ms."""

    def __init__(
        self,
        audience: str,
        *,
        old_clients: bool = True,
        clock: Callable[[], float] = time.time,
        max_cached: int = CACHED_TOKENS,
        max_bytes: int = CACHED_BYTES,
        is_another: Callable[[int, str], bool] = lambda uid, handle: False,
    ) -> None:
        """`audience`: who asks. `old_clients`: believe tokens that are good for a home and the Global Server alike. `clock`: seconds since
        1970. `is_another`: whether a uid is known here under another handle, or the handle
        under another uid."""
        self._audience = audience
        self._old_clients = old_clients
        self._clock = clock
        self._max_cached = max_cached
        self._max_bytes = max_bytes
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._published: dict[str, str] = {}  # the same keys as they were published
        self._known: dict[bytes, Identity] = {}
        self._bytes = 0  # of them
        self.forgotten = 0  # tokens that made room for others
        self._is_another = is_another
        self.strangers = 0  # tokens for the uid, or under the handle, of somebody else
        self.refused: Collection[int] = ()  # users who have closed their account; after a change, call `forget_refused`
        self._sweep: asyncio.TimerHandle | None = None

    def set_keys(self, keys: Iterable[Any]) -> None:
        """Believe these keys (as `Signer.public_keys` gives them) and no others. Raises `ValueError` when one is not Ed25519."""
        published: dict[str, str] = {}
        fresh: dict[str, Ed25519PublicKey] = {}
        for key in keys:
            try:
                public = OKPAlgorithm.from_jwk(key)
                published[key["kid"]] = key["x"]
            except (jwt.InvalidKeyError, TypeError, KeyError):
                public = None
            if not isinstance(public, Ed25519PublicKey):
                raise ValueError("only Ed25519 keys sign tokens")
            fresh[key["kid"]] = public
        if published != self._published:
            self._keys, self._published = fresh, published
            self.forget()  # a withdrawn key's tokens end now

    @property
    def has_keys(self) -> bool:
        """Whether any key has arrived."""
        return bool(self._keys)

    @property
    def cached(self) -> int:
        """How many tokens are remembered."""
        return len(self._known)

    def verify(self, token: str) -> Identity:
        """Who is asking. Raises `Unauthorized`, which says why; `Unavailable` before any key has arrived."""
        digest = hashlib.blake2b(token.encode(errors="surrogatepass"), digest_size=DIGEST_BYTES).digest()
        known = self._known.get(digest)
        if known is None:
            known = self._read(token)
            if self._is_another(known.uid, known.handle):
                self.strangers += 1
                log.error("token.uid_given_twice", uid=known.uid)
                raise Unauthorized(
                    "The Global Server has given this number, or this handle, to two people: yours is somebody else's here. Ask its ops."
                )
            if known.expires_at > self._clock():
                self._keep(digest, known)
        if known.expires_at <= self._clock():
            self._drop(digest)
            raise Unauthorized("The token has expired; ask the Global Server for a new one.")
        if known.uid in self.refused:
            raise Unauthorized("This account is closed.")
        return known

    def forget(self) -> None:
        """Check every token anew, because another key is believed from now on."""
        self._known.clear()
        self._bytes = 0

    def forget_refused(self) -> None:
        """Users have closed their account: their tokens are refused at once, and in a second nothing of them is in memory."""
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(SWEEP_S, self._forget_refused)

    def _forget_refused(self) -> None:
        self._sweep = None
        for digest in [digest for digest, known in self._known.items() if known.uid in self.refused]:
            self._drop(digest)

    def holdings(self) -> Iterator[Holding]:
        """The tokens that are remembered."""
        yield replace(TOKENS, entries=self._max_cached, bytes=self._max_bytes).holding(
            len(self._known), self._bytes, refused=self.forgotten
        )

    def _keep(self, digest: bytes, known: Identity) -> None:
        self._known[digest] = known
        self._bytes += _size(known)
        while len(self._known) > self._max_cached or self._bytes > self._max_bytes:
            self._drop(next(iter(self._known)))  # if it is still in use, it is checked again
            self.forgotten += 1

    def _drop(self, digest: bytes) -> None:
        known = self._known.pop(digest, None)
        if known is not None:
            self._bytes -= _size(known)

    def _read(self, token: str) -> Identity:
        if not self._keys:
            raise Unavailable("The Global Server's keys are not known here yet.")
        if len(token) > MAX_TOKEN_CHARS:
            raise Unauthorized("This is not a token of this installation: it is too long.")
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") != ALGORITHM:
                raise Unauthorized(f"The token is signed in another way than {ALGORITHM}.")
            key = self._keys.get(str(header.get("kid")))
            if key is None:
                raise Unauthorized("The token is signed with a key that is not this installation's.")
            claims = jwt.decode(token, key, algorithms=[ALGORITHM], issuer=ISSUER, options=_PARSE_ONLY)
            self._check_audience(claims.get("aud", OF_OLD_CLIENTS))
            return Identity(
                uid=int(claims["sub"]),
                handle=claims["handle"],
                name=claims["name"],
                home=sys.intern(claims["home"]),  # one text for all users of a home
                home_url=sys.intern(claims["home_url"]),
                expires_at=float(claims["exp"]),
                roles=frozenset(roles) if (roles := claims.get("roles")) else NO_ROLES,
            )
        except jwt.InvalidSignatureError:
            raise Unauthorized("The token was altered: its signature does not fit.") from None
        except (jwt.MissingRequiredClaimError, jwt.InvalidIssuerError, KeyError):
            raise Unauthorized("The token is for something else.") from None
        except (jwt.PyJWTError, ValueError, TypeError):
            raise Unauthorized("This is not a token.") from None

    def _check_audience(self, said: Any) -> None:
        audiences = [said] if isinstance(said, str) else said
        if not isinstance(audiences, list | tuple):
            raise Unauthorized("The token does not say where it is good.")
        if self._audience not in audiences:
            raise Unauthorized(
                f"The token is not for this place: it is good for {', '.join(map(str, audiences))}, not for {self._audience}."
            )
        if len(audiences) > 1 and not self._old_clients:
            raise Unauthorized(
                "The token is of an old client: it is good for a home and the Global Server alike. Sign in with a newer one."
            )


def _size(known: Identity) -> int:
    return TOKEN_BYTES + LETTER_BYTES * len(known.name)
