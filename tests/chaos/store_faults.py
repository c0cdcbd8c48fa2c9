"""What befalls the stores while every server is up: no room, no rights, a held lock, a stepped clock, a backlog."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from datetime import datetime, timedelta
from random import Random
from typing import Any

import asyncpg
import redis.asyncio

from sluice.db.broker import ask
from sluice.db.upkeep import BEGINNING
from tests.chaos.mix import UNSERVED, Asked
from tests.chaos.plan import Planned
from tests.chaos.server_faults import flush_what_waits
from tests.chaos.stand import Stand

STEP = timedelta(seconds=60)
BACKLOG = 20_000
"""Rows that nobody serves."""
NOBODYS_QUEUES = 500
"""Half of them lie in so many queues that nobody serves."""
SOON = 10.0

_STEP_CONSUMERS = """
UPDATE consumers SET started_at = started_at + $1, beat_at = beat_at + $1, expires_at = expires_at + $1
"""
_STEP_TASKS = """
WITH open AS MATERIALIZED (
  SELECT id FROM tasks WHERE status IN ('pending', 'processing') ORDER BY id FOR UPDATE
)
UPDATE tasks AS task
   SET created_at = created_at + $1, updated_at = updated_at + $1, run_at = run_at + $1, started_at = started_at + $1
  FROM open WHERE task.id = open.id
"""
_STEPS = "SELECT step, cursor::text FROM upkeep ORDER BY step FOR UPDATE"
_STEP_UPKEEP = "UPDATE upkeep SET next_run_at = next_run_at + $1, cursor = $2 WHERE step = $3"
_LOCK = """
SELECT id::text FROM tasks WHERE id = (SELECT id FROM tasks WHERE status = $1 ORDER BY random() LIMIT 1)
   FOR UPDATE SKIP LOCKED
"""
_PILE_UP = """
INSERT INTO tasks (id, timeout, priority, max_attempts, queue, kind, created_at, run_at)
SELECT gen_random_uuid(), 60, 5, 5, CASE WHEN n % 2 = 0 THEN 'default' ELSE 'nobody-' || n % $2 END, $3,
       now() - interval '1 hour', now() - interval '1 hour'
  FROM generate_series(1, $1) AS series (n)
"""
_CANCEL = """
UPDATE tasks SET status = 'canceled', canceled_from = 'pending', fencing_token = fencing_token + 1, updated_at = now(),
       finished_at = now()
 WHERE kind = $1 AND status = 'pending'
"""


async def redis_full(stand: Stand, planned: Planned, _: Random) -> bool:
    """Nothing more may be written: pushes are refused, pops and removals work."""
    async with redis.asyncio.Redis.from_url(stand.urls.redis_url) as client:
        await client.config_set("maxmemory-policy", "noeviction")
        try:
            await client.config_set("maxmemory", 1)
            await asyncio.sleep(planned.seconds)
        finally:
            await client.config_set("maxmemory", 0)
    return True


async def verb_refused(stand: Stand, planned: Planned, random: Random) -> bool:
    """One of the commands in use is not granted to our user any more, the others are."""
    verbs = random.choice((("lpush", "rpush"), ("publish",), ("lmpop", "blmpop"), ("lrange",), ("unlink",)))
    async with redis.asyncio.Redis.from_url(stand.urls.redis_url) as client:
        try:
            await ask(client, "ACL", "SETUSER", "default", *(f"-{verb}" for verb in verbs))
            await asyncio.sleep(planned.seconds)
        finally:
            await ask(client, "ACL", "SETUSER", "default", "+@all")
    return True


async def row_locked(stand: Stand, planned: Planned, random: Random) -> str | None:
    """Somebody keeps one task's row, as a person does who looks with FOR UPDATE. Its neighbours must go on."""
    status = random.choice(("processing", "processing", "pending"))
    deadline = asyncio.get_running_loop().time() + SOON
    async with stand.postgres() as connection:
        while asyncio.get_running_loop().time() < deadline:
            async with connection.transaction():
                task: str | None = await connection.fetchval(_LOCK, status)
                if task is not None:
                    await asyncio.sleep(planned.seconds)
                    return task
            await asyncio.sleep(0.005)
    return None


async def clock_stepped(stand: Stand, planned: Planned, random: Random) -> bool:
    """The database's clock steps by a minute, and later by as much the other way; and once more the other way round.

    What a step changes is the distance of now() to every stored instant, so these are moved the other way. What has
    ended stays as it is: only retention looks at it. Tasks are at work meanwhile: nobody may be charged for them.
    """
    ahead = random.choice((STEP, -STEP))
    for first in (ahead, -ahead):
        # Nobody judges others within a lease of the last step: before that a step would show nothing.
        await asyncio.sleep(stand.settings.lease)
        for _ in range(30):
            seconds = round(random.uniform(2.0, 4.0) + planned.seconds, 2)
            stand.asked.append(Asked({"kind": "chaos.nap", "payload": {"seconds": seconds}}))
        await asyncio.sleep(1)
        await _step(stand, first)
        try:
            await asyncio.sleep(planned.seconds)
        finally:
            await _step(stand, -first)
    return True


async def _step(stand: Stand, ahead: timedelta) -> None:
    """As if now() were `ahead` of what it was. One transaction: nobody sees half of it."""
    async with stand.postgres() as connection, connection.transaction():
        await connection.execute(_STEP_TASKS, -ahead)
        await connection.execute(_STEP_CONSUMERS, -ahead)
        for step, cursor in await connection.fetch(_STEPS):
            moved = None if cursor is None else json.dumps(moved_back(json.loads(cursor), ahead))
            await connection.execute(_STEP_UPKEEP, -ahead, moved, step)


def moved_back(stored: Any, ahead: timedelta) -> Any:
    """A cursor with every instant in it moved, whatever else it holds. The beginning of all time is no clock's."""
    if isinstance(stored, dict):
        return {name: moved_back(value, ahead) for name, value in stored.items()}
    if isinstance(stored, list):
        return [moved_back(value, ahead) for value in stored]
    if isinstance(stored, str) and "T" in stored:
        with suppress(ValueError, OverflowError):
            instant = datetime.fromisoformat(stored)
            return stored if instant <= BEGINNING.run_at else (instant - ahead).isoformat()
    return stored


async def unserved_backlog(stand: Stand, planned: Planned, _: Random) -> bool:
    """Thousands of rows that nobody serves wait before all others and in queues of their own; then the lists go.

    At the end they are canceled, all at once.
    """
    async with stand.postgres() as connection:
        await connection.execute(_PILE_UP, BACKLOG, NOBODYS_QUEUES, UNSERVED)
        try:
            await flush_what_waits(stand)
            await asyncio.sleep(planned.seconds)
        finally:
            await connection.execute(_CANCEL, UNSERVED)
    return True


async def postgres_read_only(stand: Stand, planned: Planned, _: Random) -> bool:
    """PostgreSQL may only be read, as for a maintenance or after a wrong failover."""
    async with stand.postgres() as connection:
        try:
            await _set_read_only(connection, "on")
            await asyncio.sleep(planned.seconds)
        finally:
            await _set_read_only(connection, "off")
    return True


async def _set_read_only(connection: asyncpg.Connection[Any], value: str) -> None:
    await connection.execute("SET default_transaction_read_only = off")
    await connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
    await connection.execute("SELECT pg_reload_conf()")
