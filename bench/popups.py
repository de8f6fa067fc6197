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


async def one_home(rig: Rig, run_s: float) -> Run:
    """Closed loop within one home: Global Server, home and embedded broker in one process."""
    return await (await rig.field("one")).load.run(WARM_S, run_s, in_flight=IN_FLIGHT)


async def two_homes(rig: Rig, run_s: float) -> Run:
    """Closed loop from one home process to another through RabbitMQ."""
    return await (await rig.field("two")).load.run(WARM_S, run_s, in_flight=IN_FLIGHT)


async def on_postgresql(rig: Rig, run_s: float) -> Run:
    """Closed loop within one home process, on PostgreSQL and RabbitMQ; CPU of all processes."""
    return await (await rig.field("postgres")).load.run(WARM_S, run_s, in_flight=IN_FLIGHT)


async def open_loop_one(rig: Rig, run_s: float) -> Run:
    """200 popups a second within one home; latency counts from the time at which each was due."""
    return await (await rig.field("one")).load.run(WARM_S, run_s, per_s=PER_S)


async def open_loop_two(rig: Rig, run_s: float) -> Run:
    """200 popups a second between two homes; latency counts from the time at which each was due."""
    return await (await rig.field("two")).load.run(WARM_S, run_s, per_s=PER_S)


async def on_prosody(rig: Rig, run_s: float) -> Run:
    """The same closed loop on an XMPP server that keeps nothing."""
    return await (await rig.field("prosody")).load.run(WARM_S, run_s, in_flight=IN_FLIGHT)


async def on_prosody_archive(rig: Rig, run_s: float) -> Run:
    """The same on an XMPP server that keeps every message in SQLite."""
    return await (await rig.field("prosody-archive")).load.run(WARM_S, run_s, in_flight=IN_FLIGHT)
