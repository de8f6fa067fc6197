"""Tokens: what is believed, and above all what is not."""

import base64
import json
import stat
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.errors import Unauthorized, Unavailable
from servers.security.signer import Signer
from servers.security.tokens import CONSOLE, GLOBAL, HOME, ISSUER, MAX_TOKEN_CHARS, OF_OLD_CLIENTS, KeyVerifier

NOW = 1_700_000_000.0
ANN = {"uid": 42, "handle": "ann", "name": "Ann Lee", "home": "h1", "home_url": "http://127.0.0.1:8081"}
HOUR_S = 3_600.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def key():
    return Ed25519PrivateKey.generate()


@pytest.fixture
def signer(key):
    return Signer(key)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def verifier(signer, clock):
    verifier = KeyVerifier(HOME, clock=clock, max_cached=3)
    verifier.set_keys(signer.public_keys())
    return verifier


def token(signer, **but):
    return signer.issue(**{**ANN, "now": NOW, "lifetime_s": HOUR_S, **but})


def claims(**but):
    return {"iss": ISSUER, "sub": "42", "exp": NOW + HOUR_S, **{k: v for k, v in ANN.items() if k != "uid"}, **but}


def forged(header, payload, signature=b""):
    pieces = (json.dumps(header).encode(), json.dumps(payload).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(piece).rstrip(b"=").decode() for piece in pieces)


def kid(signer):
    return signer.public_keys()[0]["kid"]


def test_a_token_says_who_is_asking(signer, verifier):
    for _ in range(2):  # checked, then remembered
        who = verifier.verify(token(signer, roles=["ops"]))
        assert (who.uid, who.handle, who.name, who.home, who.home_url) == tuple(ANN.values())
        assert who.roles == {"ops"}
        assert who.expires_at == NOW + HOUR_S


def test_a_token_expires_even_when_remembered(signer, verifier, clock):
    first = token(signer)
    verifier.verify(first)
    clock.now += HOUR_S
    for _ in range(2):
        with pytest.raises(Unauthorized, match="expired"):
            verifier.verify(first)


def test_no_algorithm_is_no_signature(signer, verifier):
    for alg in ("none", "None", ""):
        with pytest.raises(Unauthorized, match="another way"):
            verifier.verify(forged({"alg": alg, "typ": "JWT", "kid": kid(signer)}, claims()))


def test_the_public_key_is_not_a_shared_secret(signer, verifier):
    public = signer.public_keys()[0]["x"]
    secret = base64.urlsafe_b64decode(public + "=")
    with pytest.raises(Unauthorized, match="another way"):
        verifier.verify(jwt.encode(claims(), secret, algorithm="HS256", headers={"kid": kid(signer)}))


def test_another_curve_under_our_key_id_is_refused(signer, verifier):
    with pytest.raises(Unauthorized):
        verifier.verify(jwt.encode(claims(), Ed448PrivateKey.generate(), algorithm="EdDSA", headers={"kid": kid(signer)}))


def test_a_stranger_s_signature_is_refused(signer, verifier):
    with pytest.raises(Unauthorized, match="not this installation's"):
        verifier.verify(token(Signer(Ed25519PrivateKey.generate())))
    stranger = Ed25519PrivateKey.generate()
    with pytest.raises(Unauthorized, match="does not fit"):
        verifier.verify(jwt.encode(claims(), stranger, algorithm="EdDSA", headers={"kid": kid(signer)}))


def test_an_altered_token_is_refused(signer, verifier):
    header, _, signature = token(signer).split(".")
    other = base64.urlsafe_b64encode(json.dumps(claims(sub="1")).encode()).rstrip(b"=").decode()
    with pytest.raises(Unauthorized, match="altered"):
        verifier.verify(f"{header}.{other}.{signature}")


@pytest.mark.parametrize("missing", ["sub", "exp", "iss", "handle", "home"])
def test_a_token_without_a_claim_is_for_something_else(key, signer, verifier, missing):
    incomplete = {name: value for name, value in claims().items() if name != missing}
    with pytest.raises(Unauthorized, match="something else"):
        verifier.verify(jwt.encode(incomplete, key, algorithm="EdDSA", headers={"kid": kid(signer)}))


@pytest.mark.parametrize("wrong", [{"sub": "ann"}, {"exp": "soon"}, {"exp": None}, {"roles": 7}])
def test_claims_of_another_type_are_refused(key, signer, verifier, wrong):
    with pytest.raises(Unauthorized):
        verifier.verify(jwt.encode(claims(**wrong), key, algorithm="EdDSA", headers={"kid": kid(signer)}))


PLACES = (HOME, GLOBAL, CONSOLE)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("audiences", [(HOME,), (GLOBAL,), (CONSOLE,), OF_OLD_CLIENTS, ()])
def test_a_token_is_believed_by_its_audience_only(signer, clock, place, audiences):
    verifier = KeyVerifier(place, clock=clock)
    verifier.set_keys(signer.public_keys())
    if place in (audiences or OF_OLD_CLIENTS):
        assert verifier.verify(token(signer, audiences=audiences)).uid == 42
    else:
        with pytest.raises(Unauthorized, match="not for this place"):
            verifier.verify(token(signer, audiences=audiences))


@pytest.mark.parametrize("place", [HOME, GLOBAL])
@pytest.mark.parametrize("audiences", [OF_OLD_CLIENTS, ()])
def test_a_token_for_two_places_is_refused_where_old_clients_are(signer, clock, place, audiences):
    verifier = KeyVerifier(place, old_clients=False, clock=clock)
    verifier.set_keys(signer.public_keys())
    with pytest.raises(Unauthorized, match="old client"):
        verifier.verify(token(signer, audiences=audiences))
    assert verifier.verify(token(signer, audiences=(place,))).uid == 42


@pytest.mark.parametrize("wrong", [7, None, {"home": 1}, [["home"]], ["nobody"], ""])
def test_an_audience_that_is_none_is_refused(key, signer, verifier, wrong):
    with pytest.raises(Unauthorized):
        verifier.verify(jwt.encode(claims(aud=wrong), key, algorithm="EdDSA", headers={"kid": kid(signer)}))


def test_another_issuer_with_our_key_is_refused(key, signer, verifier):
    with pytest.raises(Unauthorized, match="something else"):
        verifier.verify(jwt.encode(claims(iss="other"), key, algorithm="EdDSA", headers={"kid": kid(signer)}))


@pytest.mark.parametrize("junk", ["", "a", "a.b.c", "é.é.é", "\ud800", "..", "x" * (MAX_TOKEN_CHARS + 1), "null.null.null"])
def test_junk_is_not_a_token(verifier, junk):
    with pytest.raises(Unauthorized):
        verifier.verify(junk)


def test_without_keys_nobody_is_believed_or_sent_away(signer, clock):
    verifier = KeyVerifier(HOME, clock=clock)
    assert not verifier.has_keys
    with pytest.raises(Unavailable):
        verifier.verify(token(signer))


def test_a_withdrawn_key_ends_its_tokens_at_once(signer, verifier):
    first = token(signer)
    verifier.verify(first)
    verifier.set_keys(Signer(Ed25519PrivateKey.generate()).public_keys())
    with pytest.raises(Unauthorized):
        verifier.verify(first)


@pytest.mark.parametrize("ends", ["it expires", "its key is withdrawn", "its user has left"])
def test_a_token_that_is_remembered_is_good_no_longer_than_another(signer, verifier, clock, ends):
    known = token(signer)
    assert verifier.verify(known) is verifier.verify(known)
    if ends == "it expires":
        clock.now += HOUR_S
    elif ends == "its key is withdrawn":
        verifier.set_keys(Signer(Ed25519PrivateKey.generate()).public_keys())
    else:
        verifier.refused = {verifier.verify(known).uid}
        verifier.forget()
    with pytest.raises(Unauthorized):
        verifier.verify(known)


def test_a_token_that_was_refused_is_not_remembered(verifier):
    with pytest.raises(Unauthorized):
        verifier.verify("a.b.c")
    assert verifier.cached == 0


def test_only_ed25519_keys_are_taken(verifier):
    secret = {"kty": "oct", "k": "c2VjcmV0", "kid": "1"}
    other_curve = {"kty": "OKP", "crv": "Ed448", "x": "", "kid": "1"}
    for key in (secret, other_curve, "key", {"kty": "OKP", "crv": "Ed25519"}):
        with pytest.raises(ValueError, match="Ed25519"):
            verifier.set_keys([key])


def test_few_tokens_are_remembered_and_forged_ones_never(signer, verifier):
    for uid in range(10):
        verifier.verify(token(signer, uid=uid))
    with pytest.raises(Unauthorized):
        verifier.verify(token(Signer(Ed25519PrivateKey.generate())))
    assert verifier.cached == 3


def test_the_key_file_is_made_once_and_for_its_owner_only(tmp_path):
    path = tmp_path / "keys" / "signing.pem"
    first = Signer.load_or_create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Signer.load_or_create(path).public_keys() == first.public_keys()
    assert [file.name for file in path.parent.iterdir()] == ["signing.pem"]


def test_of_several_that_start_at_once_all_have_one_key(tmp_path):
    path = tmp_path / "signing.pem"
    with ThreadPoolExecutor(8) as threads:
        signers = list(threads.map(lambda _: Signer.load_or_create(path), range(8)))
    assert len({kid(signer) for signer in signers}) == 1


def test_another_file_in_the_key_s_place_is_named(tmp_path):
    path = tmp_path / "signing.pem"
    path.write_text("hello")
    path.chmod(0o600)
    with pytest.raises(ValueError, match=r"signing\.pem"):
        Signer.load_or_create(path)


def test_public_keys_hold_nothing_private(signer):
    assert "d" not in signer.public_keys()[0]


def test_a_uid_that_is_known_under_another_handle_is_refused(signer, clock):
    """As after the Global Server's database was set back: a stranger has ann's number."""
    verifier = KeyVerifier(HOME, clock=clock, is_another=lambda uid, handle: (uid, handle) == (42, "eve"))
    verifier.set_keys(signer.public_keys())
    assert verifier.verify(token(signer)).handle == "ann"
    with pytest.raises(Unauthorized, match="to two people"):
        verifier.verify(token(signer, handle="eve"))
    assert verifier.strangers == 1
