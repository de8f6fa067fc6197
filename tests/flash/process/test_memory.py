"""Memory is given back after a storm, and only then."""

import subprocess
import sys

from flash.process.memory import STEP_BYTES, MemoryKeeper

STORM = """
from flash.process.memory import resident_bytes, trim
storm, kept = [], []
for _ in range(100_000):
    storm.append(bytearray(1_000))
    kept.append(bytearray(40)) if _ % 10 == 0 else None
before = resident_bytes()
kept.append(bytearray(100_000))
storm.clear()
trim()
print(before - resident_bytes())
"""


class Memory:
    """Memory that a test fills."""

    def __init__(self) -> None:
        self.used = 100_000_000
        self.free = 0
        self.trims = 0

    def resident(self) -> int:
        return self.used + self.free

    def trim(self) -> None:
        self.trims += 1
        self.free = 0


async def test_what_a_storm_has_left_is_given_back_once_it_is_over():
    memory = Memory()
    keeper = MemoryKeeper(memory.resident, memory.trim, level=memory.used, before=memory.used)
    for _ in range(3):
        memory.used += STEP_BYTES
        await keeper.look()
        assert memory.trims == 0, "it still grows"
    memory.used, memory.free = 100_000_000, 3 * STEP_BYTES
    await keeper.look()
    assert (memory.trims, keeper.level) == (1, memory.used)
    await keeper.look()
    assert memory.trims == 1


async def test_memory_that_stays_in_use_is_looked_at_once():
    memory = Memory()
    keeper = MemoryKeeper(memory.resident, memory.trim, level=memory.used, before=memory.used)
    memory.used += 2 * STEP_BYTES
    for _ in range(5):
        await keeper.look()
    assert memory.trims == 1


async def test_little_is_not_worth_it():
    memory = Memory()
    keeper = MemoryKeeper(memory.resident, memory.trim, level=memory.used, before=memory.used)
    memory.free = STEP_BYTES
    for _ in range(3):
        await keeper.look()
    assert memory.trims == 0


def test_pages_that_are_free_go_back_to_the_system():
    given_back = int(subprocess.run([sys.executable, "-c", STORM], capture_output=True, text=True, check=True).stdout)
    assert given_back > 50_000_000
