"""`api --with-consumer --workers 4`: upkeep has no leader, so one process takes each turn, and any may die."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from cli.embedded import Urls
from tests.support.eventually import eventually

WORKERS = 4
LEASE_SECONDS = 1
PERIODS = {"reap": 0.5, "promote": 1.0}

RECORD_TURNS = """
CREATE TABLE turns (step text, due timestamptz, at timestamptz DEFAULT clock_timestamp(), backend int);
CREATE FUNCTION record_turn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO turns (step, due, backend) VALUES (OLD.step, OLD.next_run_at, pg_backend_pid());
  RETURN NULL;
END $$;
CREATE TRIGGER record_turn AFTER UPDATE ON upkeep
  FOR EACH ROW WHEN (OLD.next_run_at <= now() AND NEW.next_run_at > now()) EXECUTE FUNCTION record_turn();
"""
FORGET_TURNS = "DROP TRIGGER record_turn ON upkeep; DROP FUNCTION record_turn; DROP TABLE turns;"


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(database_url)
    await connection.execute(RECORD_TURNS)
    try:
        yield connection
    finally:
        await connection.execute(FORGET_TURNS)
        await connection.close()


@pytest.fixture
async def workers(
    connection: asyncpg.Connection[Any], urls: Urls, redis_prefix: str, tmp_path: Path
) -> AsyncIterator[list[int]]:
    """The pids of the processes, once each of them consumes."""
    environment = {
        **os.environ,
        "DATABASE_URL": urls.database_url,
        "REDIS_URL": urls.redis_url,
        "REDIS_PREFIX": redis_prefix,
        "LEASE_SECONDS": str(LEASE_SECONDS),
        "DRAIN_SECONDS": "1",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "api", "--port", "0", "--workers", str(WORKERS), "--with-consumer"),
        env=environment,
        cwd=tmp_path,
        start_new_session=True,
    )
    try:
        yield await eventually(lambda: _alive(connection), timeout=30)
    finally:
        parent.send_signal(signal.SIGTERM)
        assert await parent.wait() == 0


async def _alive(connection: asyncpg.Connection[Any]) -> list[int]:
    rows = await connection.fetch("SELECT pid FROM consumers WHERE expires_at > now()")
    return [row["pid"] for row in rows] if len(rows) >= WORKERS else []


async def _turns(connection: asyncpg.Connection[Any]) -> Counter[str]:
    return Counter(row["step"] for row in await connection.fetch("SELECT step FROM turns"))


@pytest.mark.usefixtures("workers")
async def test_each_step_runs_once_a_turn_across_the_processes(connection: asyncpg.Connection[Any]) -> None:
    await connection.execute("TRUNCATE turns")

    async def several_of_each() -> bool:
        turns = await _turns(connection)
        return all(turns[step] >= 3 for step in PERIODS)

    await eventually(several_of_each, timeout=20)
    rows = await connection.fetch("SELECT step, due, at FROM turns ORDER BY at")
    assert max(Counter((row["step"], row["due"]) for row in rows).values()) == 1
    for step, period in PERIODS.items():
        at = [row["at"] for row in rows if row["step"] == step]
        gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(at)]
        assert min(gaps) > 0.9 * period, step


async def test_the_steps_go_on_when_the_process_that_ran_them_is_killed(
    connection: asyncpg.Connection[Any], workers: list[int]
) -> None:
    # Whoever ran the last turn is among those killed in one of the two rounds: the rounds share no survivor.
    for survivor in workers[:2]:
        killed = {*workers} - {survivor}
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        await connection.execute("TRUNCATE turns")
        await eventually(lambda: _each_step_ran(connection), timeout=30)
        workers = await eventually(partial(_alive_but, connection, killed), timeout=30)


async def _each_step_ran(connection: asyncpg.Connection[Any]) -> bool:
    return set(PERIODS) <= set(await _turns(connection))


async def _alive_but(connection: asyncpg.Connection[Any], killed: set[int]) -> list[int]:
    """Every process, once the parent has started others instead of those that were killed."""
    alive = [pid for pid in await _alive(connection) if pid not in killed]
    return alive if len(alive) >= WORKERS else []
