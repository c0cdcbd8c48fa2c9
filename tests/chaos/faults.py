"""The acts of the nemesis: each does its harm, keeps it up for as long as planned, heals it, and says if it struck."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from random import Random

from tests.chaos.plan import Planned
from tests.chaos.process_faults import fork_server_stopped, group_told_to_stop, paused, signaled
from tests.chaos.server_faults import (
    Act,
    backend_killed,
    backends_terminated,
    connections_used_up,
    flushed,
    postgres_stopped,
    read_only,
    redis_killed,
    snapshot_held,
)
from tests.chaos.stand import API, POSTGRESQL, REDIS, Stand
from tests.chaos.store_faults import (
    clock_stepped,
    postgres_read_only,
    redis_full,
    row_locked,
    unserved_backlog,
    verb_refused,
)
from tests.chaos.wire import Wire


async def perform(stand: Stand, planned: Planned) -> None:
    """Do it, and note its beginning, its end and whether it struck."""
    facts = {"fault": planned.name, "target": planned.target}
    stand.history.add("fault.start", **facts, seconds=planned.seconds)
    struck: bool | str | None = False
    try:
        struck = await ACTS[planned.name](stand, planned, Random(planned.draw))
    finally:
        task = struck if isinstance(struck, str) else None
        stand.history.add("fault.stop", **facts, struck=bool(struck), task=task)


def _of(stand: Stand, target: str) -> list[Wire]:
    process, _, server = target.partition("/")
    return [stand.front] if server == API else stand.wires_to(server, process)


def _wired(begin: Callable[[Wire], None]) -> Act:
    async def act(stand: Stand, planned: Planned, random: Random) -> bool:
        """At its end what was held back arrives late, or never."""
        wires = _of(stand, planned.target)
        struck = any(wire.connections for wire in wires)
        for wire in wires:
            begin(wire)
        try:
            await asyncio.sleep(planned.seconds)
        finally:
            struck = struck or any(wire.connections for wire in wires)
            lost = random.random() < 0.5
            for wire in wires:
                wire.delay = None
                if lost:
                    wire.reset()
                wire.resume()
        return struck

    return act


def _held(server: str) -> Act:
    async def act(stand: Stand, planned: Planned, random: Random) -> bool:
        wires = _of(stand, planned.target)
        for wire in wires:
            wire.hold_answers()
        try:
            await asyncio.sleep(planned.seconds)
        finally:
            lost = random.random() < 0.5
            for wire in wires:
                if lost:
                    wire.reset()
                wire.resume()
        assert planned.target.endswith(server)
        return any(wire.held for wire in wires)

    return act


def _slow(wire: Wire) -> None:
    wire.delay = (0.001, 0.5)


def _silent_to_server(wire: Wire) -> None:
    wire.lose_questions()


def _silent_to_client(wire: Wire) -> None:
    wire.lose_answers()


ACTS: dict[str, Act] = {
    "consumer killed": signaled(signal.SIGKILL),
    "consumer told to stop": signaled(signal.SIGTERM),
    "consumer paused": paused,
    "consumer's group told to stop": group_told_to_stop,
    "fork server stopped": fork_server_stopped,
    "API killed": signaled(signal.SIGKILL),
    "API told to stop": signaled(signal.SIGTERM),
    "API paused": paused,
    "PostgreSQL stopped at once": postgres_stopped,
    "backends terminated": backends_terminated,
    "backend killed": backend_killed,
    "connections used up": connections_used_up,
    "snapshot held open": snapshot_held,
    "PostgreSQL read-only": postgres_read_only,
    "clock stepped": clock_stepped,
    "row locked": row_locked,
    "unserved backlog": unserved_backlog,
    "Redis flushed": flushed,
    "Redis killed": redis_killed(empty=False),
    "Redis restarted empty": redis_killed(empty=True),
    "Redis read-only": read_only,
    "Redis full": redis_full,
    "Redis refuses a verb": verb_refused,
    "latency": _wired(_slow),
    "black hole to the server": _wired(_silent_to_server),
    "black hole to the client": _wired(_silent_to_client),
    "black hole both ways": _wired(Wire.hang),
    "connections cut": _wired(Wire.drop),
    "connections reset": _wired(Wire.reset),
    "connections half closed": _wired(Wire.half_close),
    "answers to commits held": _held(POSTGRESQL),
    "answers to pops held": _held(REDIS),
}
