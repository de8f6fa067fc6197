"""What the Global Server states of a server for a year. Rule: a certificate is read with the pinned key of the Global Server, or not read.

The Global Server states of itself too: its own certificate is signed with the key that it names.
"""

from msgspec import Struct

from servers.trust.server_identity import KEY_BYTES, NotBelieved, ServerIdentity, read_signed

PURPOSE = "certificate"
LIFETIME_S = 365 * 86_400.0
RENEWED_BEFORE_S = 60 * 86_400.0  # renewal begins so long before the end: two months in which somebody can notice that it fails


class Certificate(Struct, frozen=True, array_like=True, kw_only=True):
    """A server's name, where clients reach it, its Ed25519 key, and the life of its log (0 where the log has none yet). `number` rises with
    each certificate of a name; times are seconds since 1970."""

    name: str
    urls: tuple[str, ...]
    key: bytes
    life: int
    number: int
    issued: float
    expires: float

    def expired(self, now: float) -> bool:
        """Whether its year is over."""
        return now >= self.expires

    def ageing(self, now: float) -> bool:
        """Whether it is time to renew it."""
        return now >= self.expires - RENEWED_BEFORE_S


def issue(by: ServerIdentity, *, name: str, urls: tuple[str, ...], key: bytes, life: int, after: int, now: float) -> bytes:
    """A new certificate, as it travels. `after`: the number of the last one of this name; numbers also follow the time, so that a Global
    Server whose database was set back gives none out twice."""
    number = max(after + 1, int(now))
    return by.signed(PURPOSE, Certificate(name=name, urls=urls, key=key, life=life, number=number, issued=now, expires=now + LIFETIME_S))


def read(raw: bytes, global_key: bytes, now: float) -> Certificate:
    """The certificate in `raw`. Raises `NotBelieved` when the Global Server did not sign it, or its year is over."""
    certificate = read_signed(global_key, PURPOSE, raw, Certificate)
    if len(certificate.key) != KEY_BYTES:
        raise NotBelieved(f"the certificate of {certificate.name} names no key")
    if certificate.expired(now):
        raise NotBelieved(f"the certificate of {certificate.name} has expired")
    return certificate
