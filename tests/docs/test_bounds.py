"""Every queue and cache has a bound, and a page lists them all. Rule: ask the code for what can grow, and the declarations for what may."""

from tests.docs import tree
from tests.docs.bounds import PAGE, TABLE, declared, table


def test_the_limits_page_lists_every_declaration() -> None:
    written = TABLE.search(tree.text(PAGE))
    assert written is not None, f"{PAGE} has no table of queues"
    assert written[0] == table(), f"{PAGE} is old: run `python -m tests.docs.bounds`"


def test_every_declaration_bounds_entries_and_bytes_and_says_who_is_refused() -> None:
    for path, bounds in declared().items():
        for bound in bounds:
            assert bound.entries > 0, f"{path}: {bound.name} has no bound in entries"
            assert bound.most_bytes > 0, f"{path}: {bound.name} has no bound in bytes"
            assert all((bound.holds, bound.filled_by, bound.past, bound.within)), f"{path}: {bound.name}"
