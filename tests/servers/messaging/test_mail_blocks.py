"""The index of where each server has mail: it leaves nothing out, skips what is for nobody, and is forgotten when it is settled."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from servers.messaging.mail_blocks import BLOCK, SPAN, MailBlocks, row

SERVERS = ("h2", "h3", "h4")
END = 3 * SPAN
mail = st.dictionaries(st.sampled_from(SERVERS), st.sets(st.integers(1, END), min_size=1, max_size=12))


def indexed(mail: dict[str, set[int]]) -> tuple[MailBlocks, dict[str, int]]:
    blocks, rows = MailBlocks(), {}
    for position in sorted(set().union(*mail.values())):
        for server, theirs in mail.items():
            if position in theirs:
                rows |= blocks.note(server, [position])
    return blocks, rows


def read(blocks: MailBlocks, progress: dict[str, int], most: int = 1_000) -> list[tuple[int, int]]:
    """The portions in which a log is read for servers that have what lies up to these positions."""
    portions = []
    while True:
        after, upto = blocks.portion(list(progress.items()), END, most)
        if after >= END:
            return portions
        assert after < upto <= END
        portions.append((after, upto))
        progress = {server: max(position, upto) for server, position in progress.items()}


@given(mail, st.integers(0, END))
def test_what_is_read_holds_all_mail_of_those_who_share_it(mail: dict[str, set[int]], start: int) -> None:
    blocks, _ = indexed(mail)
    portions = read(blocks, dict.fromkeys(mail, start))
    for position in set().union(*mail.values()):
        assert position <= start or any(after < position <= upto for after, upto in portions)
    assert all(before[1] <= after[0] for before, after in pairwise(portions)), "nothing is read twice"
    assert sum(upto - after for after, upto in portions) <= BLOCK * sum(map(len, mail.values()))


@given(mail)
def test_the_same_is_known_after_a_restart(mail: dict[str, set[int]]) -> None:
    blocks, rows = indexed(mail)
    again = MailBlocks()
    stored = again.load(rows, 0)
    assert (again.groups, stored) == (blocks.groups, {"@blocks-complete-after": 0})
    assert all(0 < bits < 2**63 for bits in rows.values())


def test_a_row_only_rises_because_stored_positions_do() -> None:
    blocks = MailBlocks()
    bits = [next(iter(noted.values())) for at in range(1, SPAN, BLOCK) if (noted := blocks.note("h2", [at]))]
    assert bits == sorted(bits)
    assert bits[-1] == 2**63 - 1


def test_one_mail_before_a_million_events_for_others_costs_one_block() -> None:
    blocks = MailBlocks()
    blocks.note("h2", [70])
    blocks.note("h3", range(71, 1_000_000))
    assert blocks.portion([("h2", 0)], 1_000_000, 1_000) == (63, 127)
    assert blocks.portion([("h2", 127)], 1_000_000, 1_000) == (1_000_000, 1_000_000)
    assert blocks.portion([("h2", 127), ("h3", 500_000)], 1_000_000, 1_000)[0] == 500_000


def test_a_log_from_before_the_index_is_read_whole_below_it() -> None:
    blocks = MailBlocks()
    assert blocks.load({}, 5_000) == {"@blocks-complete-after": 5_000}
    assert blocks.portion([("h2", 10)], 9_000, 1_000) == (10, 1_023)
    assert blocks.portion([("h2", 5_000)], 9_000, 1_000) == (9_000, 9_000)


def test_what_is_settled_is_forgotten() -> None:
    blocks = MailBlocks()
    for group in range(3):
        blocks.note("h2", [group * SPAN + 1])
    assert blocks.settled("h2", 2 * SPAN) == [row("h2", 0), row("h2", 1)]
    assert blocks.settled("h2", 2 * SPAN) == []
    assert blocks.portion([("h2", 0)], END, 1_000)[0] == 2 * SPAN - 1
