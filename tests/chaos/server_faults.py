"""What the nemesis does to PostgreSQL and to Redis themselves."""

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

from sluice.db.broker import ask
from tests.chaos.plan import Planned
from tests.chaos.stand import Stand

Act = Callable[[Stand, Planned, Random], Awaitable[bool | str | None]]
"""Does its harm and heals it. Whether it struck; the id of the one task that it struck, if it is one."""
_OURS = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'sluice/%' ORDER BY pid"
_ENOUGH = 200
STANDSTILL = 0.6
"""Seconds: far from the lease."""


async def postgres_stopped(stand: Stand, planned: Planned, _: Random) -> bool:
    server = stand.servers.postgres
    await server.stop(now=True)
    try:
        await asyncio.sleep(planned.seconds)
    finally:
        await server.start()
    return True


async def backends_terminated(stand: Stand, planned: Planned, random: Random) -> bool:
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


async def backend_killed(stand: Stand, planned: Planned, random: Random) -> bool:
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


async def connections_used_up(stand: Stand, planned: Planned, _: Random) -> bool:
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


async def snapshot_held(stand: Stand, planned: Planned, _: Random) -> bool:
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


async def flushed(stand: Stand, planned: Planned, _: Random) -> bool:
    """Twice: the second one while the first is being made up for."""
    await flush_what_waits(stand)
    await asyncio.sleep(planned.seconds)
    await flush_what_waits(stand)
    return True


async def flush_what_waits(stand: Stand) -> None:
    """Consumers stand still before it, so that ids wait."""
    members = [stand.members[name] for name in stand.consumers]
    try:
        for member in members:
            member.send(signal.SIGSTOP)
        await asyncio.sleep(STANDSTILL)
        await _redis(stand, "FLUSHALL")
    finally:
        for member in members:
            member.send(signal.SIGCONT)


def redis_killed(*, empty: bool) -> Act:
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


async def read_only(stand: Stand, planned: Planned, _: Random) -> bool:
    """A replica of nobody, as after a failover."""
    await _redis(stand, "REPLICAOF", "127.0.0.1", "1")
    try:
        await asyncio.sleep(planned.seconds)
    finally:
        await _redis(stand, "REPLICAOF", "NO", "ONE")
    return True
