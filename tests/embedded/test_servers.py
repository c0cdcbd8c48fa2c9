from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import psutil
import pytest
import redis.asyncio as redis

from sluice.cli.embedded import Servers, Urls
from sluice.cli.supervise.lock import Held
from sluice.core.errors import ConfigurationError
from tests.embedded.support import setting
from tests.support.eventually import eventually
from tests.support.families import family, gone


async def note(urls: Urls, word: str) -> None:
    """Write `word` to both servers."""
    connection = await asyncpg.connect(urls.database_url)
    await connection.execute("CREATE TABLE IF NOT EXISTS notes (word text)")
    await connection.execute("INSERT INTO notes VALUES ($1)", word)
    await connection.close()
    async with redis.Redis.from_url(urls.redis_url) as valkey:
        await valkey.rpush("notes", word)


async def notes(urls: Urls) -> tuple[list[str], list[str]]:
    connection = await asyncpg.connect(urls.database_url)
    there = await connection.fetchval("SELECT to_regclass('notes') IS NOT NULL")
    rows = [row[0] for row in await connection.fetch("SELECT word FROM notes")] if there else []
    await connection.close()
    async with redis.Redis.from_url(urls.redis_url, decode_responses=True) as valkey:
        listed = await valkey.lrange("notes", 0, -1)
    return rows, [str(word) for word in listed]


async def test_both_servers_listen_on_a_private_unix_socket_and_nowhere_else(used_root: Path) -> None:
    servers = Servers(used_root)
    async with servers as urls:
        await note(urls, "hello")
        for server in servers.running:
            assert server.pid is not None
            assert not psutil.Process(server.pid).net_connections("tcp")
        directory = Path(parse_qs(urlsplit(urls.database_url).query)["host"][0])
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert urls.redis_url == f"unix://{directory}/valkey.sock"


async def test_postgresql_is_set_up_to_keep_what_it_commits_and_to_sort_alike_everywhere(root: Path) -> None:
    async with Servers(root, valkey=False, postgres_settings={"work_mem": "7MB"}) as urls:
        expected = {
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "data_checksums": "on",
            "server_encoding": "UTF8",
            "max_connections": "200",
            "work_mem": "7MB",
        }
        assert {name: await setting(urls, name) for name in expected} == expected
        connection = await asyncpg.connect(urls.database_url)
        provider = await connection.fetchrow(
            "SELECT datlocprovider, datlocale FROM pg_database WHERE datname = 'sluice'"
        )
        await connection.close()
        assert tuple(provider or ()) == (b"b", "C.UTF-8")


async def test_valkey_appends_to_its_file_and_evicts_nothing(root: Path) -> None:
    async with Servers(root, postgres=False) as urls, redis.Redis.from_url(urls.redis_url) as valkey:
        found = await valkey.config_get("appendonly", "appendfsync", "save", "maxmemory-policy")
        assert found == {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        assert urls.database_url == ""


async def test_data_is_there_again_at_the_next_start(used_root: Path) -> None:
    async with Servers(used_root) as urls:
        await note(urls, "kept")
    async with Servers(used_root) as urls:
        assert await notes(urls) == (["kept"], ["kept"])


async def test_ephemeral_servers_start_on_nothing_and_forget_everything(used_root: Path) -> None:
    async with Servers(used_root) as urls:
        await note(urls, "kept")
    async with Servers(used_root, ephemeral=True) as urls:
        assert await notes(urls) == ([], [])
        await note(urls, "forgotten")
    async with Servers(used_root, ephemeral=True) as urls:
        assert await notes(urls) == ([], [])
    async with Servers(used_root) as urls:
        assert await notes(urls) == (["kept"], ["kept"])


async def test_a_clean_stop_leaves_no_process_no_lock_and_no_socket(used_root: Path) -> None:
    servers = Servers(used_root)
    async with servers as urls:
        pids = [pid for server in servers.running if server.pid for pid in family(server.pid)]
        sockets = Path(urls.redis_url.removeprefix("unix://")).parent
        assert (used_root / ".sluice" / "lock").exists()
    assert all(map(gone, pids))
    assert not sockets.exists()
    assert not (used_root / ".sluice" / "lock").exists()


async def test_a_second_holder_is_told_who_the_first_is(root: Path) -> None:
    async with Servers(root, postgres=False):
        with pytest.raises(Held, match=str(os.getpid())):
            async with Servers(root, postgres=False):
                pytest.fail("two holders")


async def test_data_keeps_itself_out_of_version_control(root: Path) -> None:
    async with Servers(root, postgres=False):
        assert (root / ".sluice" / ".gitignore").read_text() == "*\n"


async def test_postgresql_stopped_without_its_shutdown_work_recovers(used_root: Path) -> None:
    servers = Servers(used_root, valkey=False)
    async with servers as urls:
        connection = await asyncpg.connect(urls.database_url)
        await connection.execute("CREATE TABLE notes AS SELECT 'kept' AS word")
        await servers.postgres.restart(now=True)
        again = await asyncpg.connect(urls.database_url)
        assert await again.fetchval("SELECT word FROM notes") == "kept"
        await again.close()
        connection.terminate()


async def test_valkey_can_be_killed_and_started_empty(root: Path) -> None:
    servers = Servers(root, postgres=False)
    async with servers as urls:
        async with redis.Redis.from_url(urls.redis_url) as valkey:
            await valkey.set("a", 1)
        with pytest.raises(RuntimeError):
            servers.valkey.forget()
        await servers.valkey.kill()
        assert servers.valkey.pid is None
        servers.valkey.forget()
        await servers.valkey.start()
        async with redis.Redis.from_url(urls.redis_url) as valkey:
            assert await valkey.get("a") is None


async def test_a_server_that_does_not_start_says_why_and_where_its_log_is(used_root: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"PostgreSQL does not start: .*no_such_setting.*postgresql\.log"
    ):
        async with Servers(used_root, postgres_settings={"no_such_setting": "1"}):
            pytest.fail("it started")
    assert not (used_root / ".sluice" / "lock").exists()


async def test_a_start_that_is_canceled_leaves_nothing_behind(root: Path) -> None:
    async def start() -> None:
        async with Servers(root):
            pytest.fail("it started")

    async with asyncio.TaskGroup() as group:
        starting = group.create_task(start())
        await eventually((root / ".sluice" / "pg18.part" / "PG_VERSION").exists)
        starting.cancel()
    assert not [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(root) in " ".join(process.info["cmdline"] or ())
    ]
    assert not list((root / ".sluice" / "pg18.part").iterdir()), "initdb was not left the time to clean up"
    async with Servers(root, valkey=False) as urls:
        assert await setting(urls, "fsync") == "on"
