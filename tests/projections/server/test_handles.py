"""Which handle belongs to which uid: the first one stays."""

from domain.event import in_stream
from domain.events.home import UserAdopted
from projections.server.handles import Handles
from tests.domain.home_stories import WHEN


def adopted(*handles):
    index = Handles()
    for number, handle in enumerate(handles, 1):
        index.apply(number, in_stream([UserAdopted(handle=handle, name="", **WHEN)], "user-7", number - 1)[0])
    return index


def test_the_first_handle_of_a_uid_stays():
    index = adopted("ann", "eve")
    assert index.differs(7, "eve")
    assert not index.differs(7, "Ann")
    assert not index.differs(8, "eve")


def test_a_checkpoint_is_the_index():
    index = Handles()
    assert index.from_checkpoint(adopted("ann").to_checkpoint())
    assert (index.names, index.position) == ({7: "ann"}, 1)
