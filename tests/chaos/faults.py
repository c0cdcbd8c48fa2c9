"""The acts of the nemesis: each does its harm, keeps it up for as long as planned, heals it, and says if it struck."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Any

import asyncpg
import redis.asyncio

from db.broker import ask
from tests.chaos.plan import Planned
from tests.chaos.stand import API, POSTGRESQL, REDIS, Stand
from tests.chaos.wire import Wire

Act = Callable[[Stand, Planned, Random], Awaitable[bool]]
_OURS = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'sluice/%' ORDER BY pid"
_ENOUGH = 200
STANDSTILL = 0.6
"""Seconds: far from the lease."""


async def perform(stand: Stand, planned: Planned) -> None:
    """Do it, and note its beginning, its end and whether it struck."""
    facts = {"fault": planned.name, "target": planned.target}
    stand.history.add("fault.start", **facts, seconds=planned.seconds)
    struck = False
    try:
        struck = await ACTS[planned.name](stand, planned, Random(planned.draw))
    finally:
        stand.history.add("fault.stop", **facts, struck=struck)


def _signaled(number: signal.Signals) -> Act:
    async def act(stand: Stand, planned: Planned, _: Random) -> bool:
        """It is started again after the planned time."""
        member = stand.members[planned.target]
        member.restart_after = planned.seconds
        struck = member.send(number)
        if number is not signal.SIGKILL and struck:
            before = len(member.statuses)
            deadline = asyncio.get_running_loop().time() + stand.settings.drain + 5
            while len(member.statuses) == before and asyncio.get_running_loop().time() < deadline:
                await asyncio.sleep(0.01)
        await asyncio.sleep(planned.seconds)
        with suppress(AssertionError):
            await stand.ready(planned.target, within=20)
        return struck

    return act


async def _paused(stand: Stand, planned: Planned, _: Random) -> bool:
    member = stand.members[planned.target]
    struck = member.send(signal.SIGSTOP)
    try:
        await asyncio.sleep(planned.seconds)
    finally:
        member.send(signal.SIGCONT)
    return struck


async def _postgres_stopped(stand: Stand, planned: Planned, _: Random) -> bool:
    server = stand.servers.postgres
    await server.stop(now=True)
    try:
        await asyncio.sleep(planned.seconds)
    finally:
        await server.start()
    return True


async def _backends_terminated(stand: Stand, planned: Planned, random: Random) -> bool:
    """About half of ours, again and again while it lasts."""
    struck = 0
    async with stand.postgres() as connection:
        for _ in range(1 + int(planned.seconds)):
            pids = [row["pid"] for row in await connection.fetch(_OURS)]
            chosen = [pid for pid in pids if random.random() < 0.5]
            struck += len(chosen)
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS chosen (pid)", chosen
            )
            await asyncio.sleep(planned.seconds / (1 + int(planned.seconds)))
    return struck > 0


async def _backend_killed(stand: Stand, planned: Planned, random: Random) -> bool:
    """SIGKILL of one backend: PostgreSQL ends all others and recovers from its log."""
    async with stand.postgres() as connection:
        pids = [row["pid"] for row in await connection.fetch(_OURS)]
    if pids:
        os.kill(random.choice(pids), signal.SIGKILL)
    await asyncio.sleep(planned.seconds)
    async with asyncio.timeout(30):
        while not await _answers(stand):
            await asyncio.sleep(0.1)
    return bool(pids)


async def _answers(stand: Stand) -> bool:
    try:
        async with stand.postgres() as connection:
            return bool(await connection.fetchval("SELECT true"))
    except (OSError, asyncpg.PostgresError, TimeoutError):
        return False


async def _connections_used_up(stand: Stand, planned: Planned, _: Random) -> bool:
    """Every connection that PostgreSQL grants, and none of it does anything; new ones of ours are refused."""
    idle: list[asyncpg.Connection[Any]] = []
    full = False
    try:
        while not full and len(idle) < _ENOUGH:
            try:
                idle.append(await asyncpg.connect(stand.urls.database_url, timeout=5))
            except asyncpg.TooManyConnectionsError:
                full = True
        await asyncio.sleep(planned.seconds)
    finally:
        for connection in idle:
            connection.terminate()
    return full


async def _snapshot_held(stand: Stand, planned: Planned, _: Random) -> bool:
    """What is changed meanwhile cannot be cleaned up. The fault beside this one may end it early."""
    with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        async with stand.postgres() as connection:
            await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            await connection.fetchval("SELECT count(*) FROM tasks")
            await asyncio.sleep(planned.seconds)
    return True


async def _redis(stand: Stand, *words: str) -> None:
    async with redis.asyncio.Redis.from_url(stand.urls.redis_url) as client:
        await ask(client, *words)


async def _flushed(stand: Stand, planned: Planned, _: Random) -> bool:
    """Twice: the second one while the first is being made up for. Consumers stand still before it, so that ids wait."""
    await _flush_what_waits(stand)
    await asyncio.sleep(planned.seconds)
    await _flush_what_waits(stand)
    return True


async def _flush_what_waits(stand: Stand) -> None:
    members = [stand.members[name] for name in stand.consumers]
    try:
        for member in members:
            member.send(signal.SIGSTOP)
        await asyncio.sleep(STANDSTILL)
        await _redis(stand, "FLUSHALL")
    finally:
        for member in members:
            member.send(signal.SIGCONT)


def _redis_killed(*, empty: bool) -> Act:
    async def act(stand: Stand, planned: Planned, _: Random) -> bool:
        server = stand.servers.valkey
        await server.kill()
        try:
            await asyncio.sleep(planned.seconds)
            if empty:
                server.forget()
        finally:
            await server.start()
        return True

    return act


async def _read_only(stand: Stand, planned: Planned, _: Random) -> bool:
    """A replica of nobody, as after a failover."""
    await _redis(stand, "REPLICAOF", "127.0.0.1", "1")
    try:
        await asyncio.sleep(planned.seconds)
    finally:
        await _redis(stand, "REPLICAOF", "NO", "ONE")
    return True


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
    "consumer killed": _signaled(signal.SIGKILL),
    "consumer told to stop": _signaled(signal.SIGTERM),
    "consumer paused": _paused,
    "API killed": _signaled(signal.SIGKILL),
    "API told to stop": _signaled(signal.SIGTERM),
    "API paused": _paused,
    "PostgreSQL stopped at once": _postgres_stopped,
    "backends terminated": _backends_terminated,
    "backend killed": _backend_killed,
    "connections used up": _connections_used_up,
    "snapshot held open": _snapshot_held,
    "Redis flushed": _flushed,
    "Redis killed": _redis_killed(empty=False),
    "Redis restarted empty": _redis_killed(empty=True),
    "Redis read-only": _read_only,
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
