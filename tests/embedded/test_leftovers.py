"""What a run leaves behind that was killed, or had no power or no disk any more, and the next start."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path
from typing import NoReturn

import pytest
import redis.asyncio as redis

from sluice.cli.embedded import Servers
from sluice.cli.embedded.place import Place
from sluice.cli.supervise.child import Child
from tests.embedded.support import setting
from tests.support.families import gone


@pytest.mark.parametrize("file", ["*.manifest", "*.incr.aof"])
async def test_files_that_valkey_cannot_read_are_set_aside(root: Path, file: str) -> None:
    said: list[str] = []
    servers = Servers(root, postgres=False, say=said.append)
    async with servers as urls:
        async with redis.Redis.from_url(urls.redis_url) as valkey:
            await valkey.set("a", 1)
        await servers.valkey.kill()
        data = root / ".sluice" / "valkey"
        [damaged] = (data / "appendonlydir").glob(file)
        damaged.write_bytes(b"\0" * 300)

        await servers.valkey.start()
        async with redis.Redis.from_url(urls.redis_url) as valkey:
            assert await valkey.get("a") is None
    aside = data.with_name("valkey.damaged")
    assert said == [f"Valkey cannot read its files, which are now in {aside}; no task is lost"]
    assert (aside / "appendonlydir" / damaged.name).exists()


async def test_a_pid_file_that_names_a_stranger_does_not_stop_the_next_start(used_root: Path) -> None:
    servers = Servers(used_root, valkey=False)
    async with servers as urls:
        pid_file = used_root / ".sluice" / "pg18" / "postmaster.pid"
        await servers.postgres.kill()
        account = Place.under(used_root).account
        stranger = await Child.start(["/bin/sleep", "60"], environment=os.environ, account=account)
        _, _, rest = pid_file.read_text().partition("\n")
        pid_file.write_text(f"{stranger.pid}\n{rest}")
        await servers.postgres.start()
        assert await setting(urls, "fsync") == "on"
        assert stranger.alive
        await stranger.stop(signal.SIGKILL)


@pytest.mark.parametrize("left", ["", "\n", "gone\n", "0\n", "\0\0\0\0"], ids=repr)
async def test_a_pid_file_that_names_nobody_does_not_stop_the_next_start(used_root: Path, left: str) -> None:
    servers = Servers(used_root, valkey=False)
    async with servers as urls:
        pid_file = used_root / ".sluice" / "pg18" / "postmaster.pid"
        await servers.postgres.kill()
        pid_file.write_text(left)
        await servers.postgres.start()
        assert await setting(urls, "fsync") == "on"


async def test_a_server_of_an_earlier_run_is_found_without_its_pid_file(used_root: Path) -> None:
    """Two at once on the same files would destroy them."""
    servers, again = Servers(used_root), Servers(used_root, locked=True)
    async with servers:
        (used_root / ".sluice" / "pg18" / "postmaster.pid").write_text("")
        (used_root / ".sluice" / "valkey" / "valkey.pid").write_text("")
        before = [server.pid for server in servers.running]
        async with again as urls:
            assert await setting(urls, "fsync") == "on"
            assert all(pid is not None and gone(pid) for pid in before)


async def test_a_start_that_is_cut_short_as_it_mends_the_pid_file_leaves_it_whole(
    used_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = Servers(used_root, valkey=False)
    async with servers as urls:
        pid_file = used_root / ".sluice" / "pg18" / "postmaster.pid"
        await servers.postgres.kill()
        before = pid_file.read_bytes(), pid_file.stat()
        with monkeypatch.context() as full:
            full.setattr(os, "fsync", _no_space)
            with pytest.raises(OSError, match="No space left"):
                await servers.postgres.start()
        assert pid_file.read_bytes() == before[0]
        assert [each.name for each in pid_file.parent.glob(".postmaster*")] == []
        await servers.postgres.start()
        assert await setting(urls, "fsync") == "on"
        after = pid_file.stat()
        assert (after.st_uid, after.st_mode) == (before[1].st_uid, before[1].st_mode)


def _no_space(fd: int) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
