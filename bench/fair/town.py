"""The people of the rows. Rule: everybody is really registered, once for all rows; each row gets a copy of the town."""

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.installation import Installation, one_process
from bench.people import Person, add_contacts, load, register, rename, save

LINES = 20  # of victims, who send each other popups
FOES = 30  # accounts of the attackers
RICH = 3  # of the foes, the first of them, have the whole crowd as contacts
LONG_NAMES = 2  # the last of these, who knows everybody by a name of 500 characters
FLAPPER = 3
FILLERS = 20  # of the foes, from number 10 on: each has his part of the crowd as contacts
CROWD = 5_000
WATCHERS = 1_500  # of the crowd have the flapper as a contact
SERVER_CORE, OTHER_CORE = 0, 1
DEFAULTS = {"FLASH_REGISTRATIONS_PER_S": "10", "FLASH_MAX_CONNECTIONS_PER_ADDRESS": ""}  # attacks meet the limits that servers have

LONG_NAME = "Ann of the long name. " * 22  # 484 characters


@dataclass(frozen=True, slots=True)
class Town:
    """Who lives there. `senders` and `recipients` are the victims."""

    senders: Sequence[Person]
    recipients: Sequence[Person]
    foes: Sequence[Person]
    crowd: Sequence[Person]

    @property
    def fillers(self) -> Sequence[Person]:
        """Those of the foes who fill mailboxes."""
        return self.foes[-FILLERS:]

    @classmethod
    def of(cls, people: Sequence[Person]) -> "Town":
        """The town of these people, in the order of their registration."""
        foes = 2 * LINES
        return cls(people[:LINES], people[LINES:foes], people[foes : foes + FOES], people[foes + FOES :])


async def build(directory: Path, python: str, crowd: int = CROWD) -> Path:
    """The town's data, made once in `directory`; it takes some minutes, because passwords are hashed at the full cost. `crowd`: fewer
    people make milder attacks."""
    built = directory / "town"
    if not built.exists():
        draft = directory / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        with one_process(draft, python) as installation:
            people = await register(installation, 2 * LINES + FOES + crowd)
            town = Town.of(people)
            await add_contacts(zip(town.senders, town.recipients, strict=True))
            await add_contacts((foe, whom) for foe in town.foes[:LONG_NAMES] for whom in town.crowd)
            await add_contacts((watcher, town.foes[FLAPPER]) for watcher in town.crowd[:WATCHERS])
            await add_contacts((foe, whom) for number, foe in enumerate(town.fillers) for whom in town.crowd[number::FILLERS])
            await rename(installation, town.crowd, LONG_NAME)
            await add_contacts((foe, whom) for foe in town.foes[LONG_NAMES:RICH] for whom in town.crowd)
            save(people, draft)
        draft.rename(built)
    return built


@contextlib.contextmanager
def copy_of(built: Path, python: str) -> Iterator[Installation]:
    """The town in a server of its own core, on a copy of its data."""
    copy = built.parent / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(built, copy)
    try:
        with on_core(SERVER_CORE):
            stack = contextlib.ExitStack()
            installation = stack.enter_context(one_process(copy, python, **DEFAULTS))
        with stack:
            yield installation
    finally:
        shutil.rmtree(copy, ignore_errors=True)


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started within runs on this core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def town_of(directory: Path, ports: Sequence[int]) -> Town:
    """The town whose data lie in `directory`, with the ports of a Global Server and of h1, h2 and so on."""
    homes = {f"h{number}": port for number, port in enumerate(ports[1:], 1)}
    return Town.of(load(Installation(directory, ports[0], homes, (), tuple)))
