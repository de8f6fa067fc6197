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


def test_a_handle_belongs_to_the_uid_that_had_it_first():
    index = adopted("ann")
    index.apply(2, in_stream([UserAdopted(handle="Ann", name="", **WHEN)], "user-9", 0)[0])
    loaded = Handles()
    assert loaded.from_checkpoint(index.to_checkpoint())
    for each in (index, loaded):
        assert each.differs(9, "ann")
        assert each.differs(8, "ANN")
        assert not each.differs(7, "ann")


def test_a_checkpoint_is_the_index():
    index = Handles()
    assert index.from_checkpoint(adopted("ann").to_checkpoint())
    assert (index.names, index.position) == ({7: "ann"}, 1)
