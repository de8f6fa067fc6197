"""How many connections a server takes where few files may be open."""

import resource

from flash.process.descriptors import OWN_FILES, open_files, that_fit
from flash.process.settings import Settings


def test_no_more_connections_than_there_are_descriptors_for():
    assert that_fit(100_000, lambda: 20_000) == 20_000 - OWN_FILES
    assert that_fit(5_000, lambda: 20_000) == 5_000
    assert that_fit(100_000, lambda: 0) == 100_000
    assert that_fit(100_000, lambda: 100) == 1


def test_servers_hold_to_it():
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert open_files() in (soft, 0)
    assert Settings(max_connections=10**9).limits.max_connections == that_fit(10**9)
    assert Settings(max_connections=10).limits.max_connections == 10
