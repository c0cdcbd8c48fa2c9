"""What is left after `kill -9` of the supervising process: nothing that runs, and everything that was committed."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio as redis

from tests.embedded.support import NO_BOND, PIPE_BOND, hosted
from tests.support.eventually import eventually
from tests.support.families import gone


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(
            (sys.executable, "-m", "sluice.cli.embedded"),
            id="kernel",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="parent-death signals are Linux's"),
        ),
        pytest.param((sys.executable, "-c", PIPE_BOND), id="pipe"),
    ],
)
async def test_no_process_outlives_a_supervisor_that_was_killed(
    used_root: Path, command: tuple[str, ...]
) -> None:
    async with hosted(used_root, command=command) as host:
        everybody = host.everybody
        assert len(everybody) > 5
        await host.kill()
        await eventually(lambda: all(map(gone, everybody)))


async def test_a_clean_stop_ends_the_watchers_too(used_root: Path) -> None:
    async with hosted(used_root, command=(sys.executable, "-c", PIPE_BOND)) as host:
        everybody = host.everybody
        assert await host.stop() == 0
        await eventually(lambda: all(map(gone, everybody)))


async def test_what_was_committed_before_a_kill_is_there_at_the_next_start(used_root: Path) -> None:
    for turn in range(3):
        async with hosted(used_root) as host:
            connection = await asyncpg.connect(host.urls.database_url)
            await connection.execute("CREATE TABLE IF NOT EXISTS turns (turn integer)")
            assert await connection.fetchval("SELECT count(*) FROM turns") == turn
            await connection.execute("INSERT INTO turns VALUES ($1)", turn)
            async with redis.Redis.from_url(host.urls.redis_url) as valkey:
                assert await valkey.incr("turns") == turn + 1
            await host.kill()  # and the next turn starts while the servers may still be stopping
            connection.terminate()


async def test_a_start_right_after_everything_was_killed_recovers(used_root: Path) -> None:
    async with hosted(used_root) as host:
        connection = await asyncpg.connect(host.urls.database_url)
        await connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        for pid in (host.process.pid, *host.pids.values()):
            os.kill(pid, signal.SIGKILL)
        connection.terminate()
        await host.process.wait()
        async with hosted(used_root) as again:
            connection = await asyncpg.connect(again.urls.database_url)
            assert await connection.fetchval("SELECT one FROM kept") == 1
            await connection.close()


async def test_servers_that_outlived_their_supervisor_are_stopped_before_the_next_ones_start(
    used_root: Path,
) -> None:
    async with hosted(used_root, command=(sys.executable, "-c", NO_BOND)) as host:
        connection = await asyncpg.connect(host.urls.database_url)
        await connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        await host.kill()
        assert not any(map(gone, host.pids.values()))
        async with hosted(used_root) as again:
            assert all(map(gone, host.pids.values()))
            connection = await asyncpg.connect(again.urls.database_url)
            assert await connection.fetchval("SELECT one FROM kept") == 1
            await connection.close()


async def test_ephemeral_data_of_a_killed_run_is_gone_at_the_next_start(root: Path) -> None:
    async with hosted(root, "--ephemeral") as host:
        connection = await asyncpg.connect(host.urls.database_url)
        await connection.execute("CREATE TABLE forgotten ()")
        await host.kill()
        connection.terminate()
    async with hosted(root, "--ephemeral") as host:
        connection = await asyncpg.connect(host.urls.database_url)
        assert await connection.fetchval("SELECT to_regclass('forgotten')") is None
        await connection.close()
    assert not (root / ".sluice" / "ephemeral").exists()
