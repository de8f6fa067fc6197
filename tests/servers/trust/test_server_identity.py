"""A signature proves who said what for what."""

from servers.trust.server_identity import ServerIdentity, new_key, verify

IDENTITY = ServerIdentity("h1", new_key())


def test_a_signature_is_good_for_its_words_its_purpose_and_its_server() -> None:
    signature = IDENTITY.sign("heartbeat", b"I am here")
    assert verify(IDENTITY.public, "heartbeat", b"I am here", signature)
    assert not verify(IDENTITY.public, "heartbeat", b"I am there", signature)
    assert not verify(IDENTITY.public, "heart", b"beat\0I am here", signature)
    assert not verify(IDENTITY.public, "answer", b"I am here", signature)
    assert not verify(ServerIdentity("h1", new_key()).public, "heartbeat", b"I am here", signature)
    assert not verify(b"no key", "heartbeat", b"I am here", signature)


def test_the_key_shows_nowhere() -> None:
    assert repr(IDENTITY) == "ServerIdentity(h1)"
