"""Questions between servers: what travels is what servers of every version understand, plain msgpack maps."""

import msgpack
import msgspec
import pytest

from servers.messaging import questions as q

MAPS = [
    (q.AskHealth(), {"ask": "health"}),
    (q.AskPresence([1, 300, 2**40]), {"ask": "presence", "uids": [1, 300, 2**40]}),
    (q.AskTicket(7, 8, "10.0.0.2"), {"ask": "ticket", "from": 7, "to": 8, "address": "10.0.0.2"}),
    (q.Announce("h1", "http://h1.example"), {"ask": "announce", "name": "h1", "url": "http://h1.example"}),
    (q.AskUser(42), {"ask": "user", "uid": 42}),
    (
        q.ToldPresence([q.UserPresence(1, 3, "away", 1.7e9, "lunch", "Ann Lee"), q.UserPresence(2, 0, "offline", None, "", "")], 5),
        {"users": [(1, 3, "away", 1.7e9, "lunch", "Ann Lee"), (2, 0, "offline", None, "", "")], "life": 5},
    ),
    (q.TicketRoute("10.0.0.1", 40_123, b"k" * 32, 1.7e9), {"address": "10.0.0.1", "port": 40_123, "key": b"k" * 32, "expires": 1.7e9}),
    (q.TicketRoute(), {}),
    (q.Announced([{"kty": "OKP", "x": "abc"}], card=b"c"), {"keys": [{"kty": "OKP", "x": "abc"}], "card": b"c"}),
    (q.Refused("no"), {"refused": "no"}),
    (q.FoundUser(q.RemoteUser(1, "ann", "Ann", "h1")), {"user": {"uid": 1, "handle": "ann", "name": "Ann", "home": "h1"}}),
    (q.FoundUser(None), {"user": None}),
    (
        q.HomeHealth(1, 2, 3, 4, 5, 6, 7, 8, 9, {"presence": 0}, None, 10),
        {
            "sessions": 1, "users": 2, "waiting": 3, "position": 4, "writer": 5, "commits": 6, "relay_lag": 7, "repeats": 8, "dead": 9,
            "projections": {"presence": 0}, "ready": None, "inbox": 10,
        },
    ),
]  # fmt: skip


@pytest.mark.parametrize(("typed", "plain"), MAPS, ids=[f"{type(typed).__name__}-{n}" for n, (typed, _) in enumerate(MAPS)])
def test_each_shape_is_a_plain_map_and_reads_back(typed, plain):
    told = msgspec.msgpack.encode(typed)
    assert told == msgpack.packb(plain)
    assert msgspec.msgpack.decode(told, type=type(typed)) == typed


def test_a_reader_ignores_fields_that_a_later_version_adds():
    question = msgpack.packb({"ask": "presence", "uids": [1], "since": 5})
    assert msgspec.msgpack.decode(question, type=q.HomeQuestion) == q.AskPresence([1])


@pytest.mark.parametrize("junk", [{"ask": "dance"}, {"uids": [1]}, {"ask": "presence", "uids": "all"}, [], b"\xc1"])
def test_a_question_of_another_shape_is_refused(junk):
    with pytest.raises(msgspec.MsgspecError):
        msgspec.msgpack.decode(junk if isinstance(junk, bytes) else msgpack.packb(junk), type=q.HomeQuestion)
