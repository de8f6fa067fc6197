"""Who speaks for whom. Rule: a user speaks for its own server, and for others only where ops said so or where we share the user."""

import pytest

from broker.publishers import SINGLE_PROCESS, Publishers


@pytest.mark.parametrize(
    ("publisher", "server", "believed"),
    [
        ("h2", "h2", True),
        ("h2", "h3", False),
        ("global", "global", True),
        ("global", "h2", False),
        ("guest", "h2", False),
        ("", "h2", True),
        (None, "h2", False),
    ],
)
def test_each_server_speaks_for_itself(publisher: str | None, server: str, believed: bool) -> None:
    assert Publishers("h1", "h1").speak_for(publisher, server) is believed


def test_a_user_that_we_share_proves_nothing() -> None:
    shared = Publishers("h1", "guest")
    assert shared.speak_for("guest", "h2")
    assert shared.speak_for("guest", "global")
    assert not shared.speak_for("h3", "h2"), "whoever has a user of their own speaks for nobody else"


def test_ops_may_name_the_user_of_a_server() -> None:
    named = Publishers("h1", "home-1", {"h1": "home-1", "h2": "home-2"})
    assert named.speak_for("home-2", "h2")
    assert not named.speak_for("h2", "h2"), "somebody else's by now"
    assert not named.speak_for("home-1", "h2"), "our own name is known, so we share it with nobody"
    assert Publishers("global", "global", {"*": "flash"}).speak_for("flash", "h7")


def test_a_reader_with_the_global_servers_user_believes_it_of_the_global_server_only() -> None:
    audit = Publishers("audit", "global")
    assert audit.speak_for("global", "global")
    assert not audit.speak_for("global", "h1")


def test_bytes_are_counted_by_publisher() -> None:
    counting = Publishers("h1", "h1")
    for publisher, size in (("h2", 10), ("h3", 1), ("h2", 5), (None, 2), (SINGLE_PROCESS, 1)):
        counting.count(publisher, size)
    assert counting.received == {"h2": 15, "h3": 1, "": 3}
