"""`api --with-consumer --workers 3`: upkeep has no leader, so one process takes each turn, and any may die."""

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
from uuid import uuid4

import asyncpg
import pytest

from tests.support.databases import clear
from tests.support.eventually import eventually

WORKERS = 3
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


@pytest.fixture(scope="module")
async def connection(own_database: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    await clear(own_database)
    connection = await asyncpg.connect(own_database)
    await connection.execute(RECORD_TURNS)
    try:
        yield connection
    finally:
        await connection.execute(FORGET_TURNS)
        await connection.close()


@pytest.fixture(scope="module")
async def started(
    connection: asyncpg.Connection[Any],
    own_database: str,
    redis_url: str,
    worker_id: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[None]:
    """The processes of all these tests: each worker takes two seconds of a processor to start."""
    environment = {
        **os.environ,
        "DATABASE_URL": own_database,
        "REDIS_URL": redis_url,
        "REDIS_PREFIX": f"{worker_id}-{uuid4().hex[:12]}",
        "LEASE_SECONDS": str(LEASE_SECONDS),
        "DRAIN_SECONDS": "1",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "api", "--port", "0", "--workers", str(WORKERS), "--with-consumer"),
        env=environment,
        cwd=tmp_path_factory.mktemp("workers"),
        start_new_session=True,
    )
    try:
        yield
    finally:
        parent.send_signal(signal.SIGTERM)
        assert await parent.wait() == 0


@pytest.fixture
async def workers(started: None, connection: asyncpg.Connection[Any]) -> list[int]:
    """The pids of the processes, once each of them consumes."""
    return await eventually(lambda: _alive(connection), timeout=30)


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
