"""Waiting mail is bounded in bytes. Rule: who fills it is refused, and everybody else has a place."""

from servers.messaging.inbox_parts import InboxConfig
from servers.messaging.mail_queue import MailQueue

MB = 1_000_000


class Came:
    """A delivery."""

    gone = False

    def __init__(self, publisher: str, size: int) -> None:
        self.publisher, self.body = publisher, bytes(size)


def test_one_publisher_fills_its_share_and_another_one_has_a_place() -> None:
    queue = MailQueue(InboxConfig(waiting_bytes=12 * MB))
    assert sum(queue.put(Came("h3", MB), comes_again=True) for _ in range(100)) == 6  # type: ignore[arg-type]
    assert queue.refused == 94
    assert sum(queue.put(Came("h2", MB), comes_again=True) for _ in range(100)) == 3  # type: ignore[arg-type]
    assert queue.bytes == 9 * MB
    assert [queue.take().publisher for _ in range(4)] == ["h3", "h2", "h3", "h2"]
    assert not queue.put(Came("h3", 5 * MB), comes_again=True)  # type: ignore[arg-type]
    assert queue.put(Came("h3", 5 * MB), comes_again=False)  # type: ignore[arg-type]


def test_what_is_taken_and_what_is_gone_makes_room() -> None:
    queue = MailQueue(InboxConfig(waiting_bytes=6 * MB, prefetch=3))
    came = [Came("h3", MB) for _ in range(3)]
    assert all(queue.put(each, comes_again=True) for each in came)  # type: ignore[arg-type]
    queue.take()
    assert queue.put(Came("h3", MB), comes_again=True)  # type: ignore[arg-type]
    came[1].gone = came[2].gone = True
    assert queue.put(Came("h3", MB), comes_again=True)  # type: ignore[arg-type]
    assert (queue.size, queue.bytes) == (2, 2 * MB)
