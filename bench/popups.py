"""Workloads of popups: on one home and on two, as many as possible and 200 a second, and the same on an XMPP server.

Rule: all workloads have the same users, lines and checks.
"""

from bench.report import Run, Target
from bench.rig import Rig

IN_FLIGHT = 64  # the targets are stated for this number
PER_S = 200.0  # the targets are stated for this rate
WARM_S = 1.0  # by then every line was used, and the caches of the servers are filled

ONE_HOME = {"popups/s": Target(4_000, 9_000, more=True), "CPU µs/popup": Target(200, 100)}
TWO_HOMES = {"popups/s": Target(1_500, 3_000, more=True), "CPU µs/popup": Target(600, 300)}
ON_POSTGRESQL = {"CPU µs/popup": Target(450, 300)}  # ejabberd with an archive in PostgreSQL needs 674
OPEN_LOOP_ONE = {"p99 ms": Target(6, 3)}
OPEN_LOOP_TWO = {"p99 ms": Target(20, 8)}


async def closed_loop(kind: str, rig: Rig, run_s: float) -> Run:
    """As many popups as possible on an installation of this kind, 64 under way; CPU of all processes.

    The XMPP server of `prosody` keeps nothing; that of `prosody-archive` keeps every message in SQLite.
    """
    return await (await rig.field(kind)).load.run(WARM_S, run_s, in_flight=IN_FLIGHT)


async def open_loop(kind: str, rig: Rig, run_s: float) -> Run:
    """200 popups a second; latency counts from the time at which each was due."""
    return await (await rig.field(kind)).load.run(WARM_S, run_s, per_s=PER_S)
