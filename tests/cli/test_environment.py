"""The environment of another user: what it lacks is told in one line that names what to set, and never waited for."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import sys
from datetime import timedelta
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

import asyncpg
import pytest

from sluice.cli.embedded import Urls
from sluice.cli.migrate import upgrade
from sluice.core.errors import ConfigurationError
from sluice.db.session import make_engine
from sluice.db.start import await_postgresql
from tests.cli.support import Command, ended
from tests.support.launching import Process

NOWHERE = "postgresql://me@127.0.0.1:9/x"
"""What is asked for here is missing before anybody connects."""
WITHOUT_RIGHTS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")
"""Root reads everything, unless it has given that up."""
NOT_OURS = 12345
COMMANDS = (("migrate",), ("consumer",), ("api", "--port", "0"), ("up",))


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*filter(lambda name: name.startswith("PG"), os.environ), "SSLKEYLOGFILE"):
        monkeypatch.delenv(name, raising=False)


async def _told(url: str) -> str:
    """With what a start that may wait for five minutes ends at once."""
    engine = make_engine(url, role="test", pool_size=2)
    try:
        async with asyncio.timeout(10):
            with pytest.raises(ConfigurationError) as told:
                await await_postgresql(engine, start_timeout=timedelta(minutes=5), on_wait=_not_waited_for)
    finally:
        await engine.dispose()
    assert len(str(told.value).splitlines()) == 1
    return str(told.value)


def _not_waited_for(reason: str) -> NoReturn:
    raise AssertionError(f"waits for {reason}")


@pytest.mark.parametrize("option", ["sslrootcert", "sslcert", "sslcrl"])
async def test_a_file_of_the_url_that_is_not_there_is_named(option: str) -> None:
    told = await _told(f"{NOWHERE}?sslmode=require&{option}=/nonexist")
    assert told == f"DATABASE_URL cannot be used: {option}=/nonexist: No such file or directory"


@pytest.mark.parametrize("option", ["sslrootcert", "sslcert", "sslcrl"])
async def test_a_file_of_the_environment_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setenv(f"PG{option.upper()}", "/nonexist")
    told = await _told(f"{NOWHERE}?sslmode=require")
    assert told.startswith(f"PG{option.upper()} cannot be used: {option}=/nonexist: ")


async def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    (tmp_path / "none.crt").write_text("nothing\n")
    told = await _told(f"{NOWHERE}?sslmode=verify-full&sslrootcert={tmp_path / 'none.crt'}")
    assert told.startswith(f"DATABASE_URL cannot be used: sslrootcert={tmp_path / 'none.crt'}: it holds no ")


async def test_a_directory_in_the_place_of_a_certificate_is_named(tmp_path: Path) -> None:
    told = await _told(f"{NOWHERE}?sslmode=verify-full&sslrootcert={tmp_path}")
    assert told == f"DATABASE_URL cannot be used: sslrootcert={tmp_path}: Is a directory"


async def test_a_key_log_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", "/nonexist/keys")
    told = await _told(f"{NOWHERE}?sslmode=require")
    assert told == "SSLKEYLOGFILE=/nonexist/keys: No such file or directory: mend or unset it"


async def test_root_certificates_that_a_home_lacks_are_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    told = await _told(f"{NOWHERE}?sslmode=verify-full")
    assert told.startswith(
        f'DATABASE_URL cannot be used: root certificate file "{tmp_path}/.postgresql/root.crt"'
    )


async def test_a_user_without_a_passwd_entry_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> NoReturn:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    told = await _told("postgresql://127.0.0.1:9/x")
    assert told == (
        f"DATABASE_URL names no user, and user id {os.getuid()} has no passwd entry: "
        "name the user in DATABASE_URL, or set PGUSER"
    )


async def test_a_server_without_tls_is_not_waited_for_when_the_url_asks_for_it() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(b"N")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    told = await _told(f"postgresql://me@127.0.0.1:{port}/x?sslmode=require")
    server.close()
    assert "rejected SSL upgrade: take sslmode out of it" in told


@pytest.mark.parametrize("options", ["", "?sslmode=require"], ids=["as by default", "TLS"])
async def test_a_home_that_cannot_be_read_is_named(sluice: Command, tmp_path: Path, options: str) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(home, NOT_OURS, NOT_OURS)
        if shutil.which(WITHOUT_RIGHTS[0]) is None:
            pytest.skip("setpriv of util-linux lets root give up its rights")
    else:
        home.chmod(0)
    before = WITHOUT_RIGHTS if os.geteuid() == 0 else ()
    program = (*before, sys.executable, "-P", "-m", "sluice", "migrate")
    told = await _cold(sluice.directory, program, DATABASE_URL=NOWHERE + options, HOME=str(home))
    assert f"may not look for {home}/.postgresql/" in told
    assert "set HOME to a directory that it may read, or sslmode=disable in DATABASE_URL" in told


async def _cold(directory: Path, program: tuple[str, ...], **env: str) -> str:
    inherited = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        *program,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=directory,
        env={**inherited, "REDIS_URL": "", **env},
    )
    return await _last_line(process)


async def _last_line(process: Process) -> str:
    """The one line with which it ended, long before the patience of a start is over."""
    async with asyncio.timeout(25):
        found = await ended(process, "")
    assert found.status == 1
    [line] = [line for line in found.stderr.splitlines() if "starting" not in line and "using" not in line]
    return line


@pytest.mark.parametrize("command", COMMANDS, ids=[command[0] for command in COMMANDS])
async def test_every_command_ends_in_one_line_for_a_certificate_that_is_not_there(
    sluice: Command, command: tuple[str, ...]
) -> None:
    url = f"{NOWHERE}?sslmode=require&sslrootcert=/nonexist"
    told = await _last_line(await sluice.start(*command, env={"DATABASE_URL": url, "REDIS_URL": ""}))
    message, _, otherwise = told.partition("; ")
    assert message.endswith("DATABASE_URL cannot be used: sslrootcert=/nonexist: No such file or directory")
    assert otherwise == ("leave it out, or empty, for an embedded server" if command == ("up",) else "")


@pytest.mark.parametrize("command", ["consumer", "up"])
async def test_a_current_directory_that_is_gone_is_told(command: str, tmp_path: Path) -> None:
    code = "import os, sys; os.rmdir(os.getcwd()); from sluice.cli.main import main; sys.exit(main())"
    gone = tmp_path / "gone"
    gone.mkdir()
    told = await _cold(gone, (sys.executable, "-P", "-c", code, command), DATABASE_URL=NOWHERE)
    assert told.endswith("the current directory was removed: start in one that is there")


@pytest.mark.parametrize(
    ("prepare", "told"),
    [
        (
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
            "permission denied for schema public; grant it CREATE on the schema, or set SLUICE_SCHEMA",
        ),
        ("DROP SCHEMA public", "names no schema that is there: set SLUICE_SCHEMA"),
    ],
)
async def test_a_search_path_in_which_nothing_can_be_made_is_told(
    servers: Urls, empty_database: str, prepare: str, told: str
) -> None:
    role = f"limited_{uuid4().hex}"
    admin = await asyncpg.connect(empty_database)
    try:
        await admin.execute(f"CREATE ROLE {role} LOGIN")
        await admin.execute(prepare)
        with pytest.raises(ConfigurationError, match=told):
            await upgrade(empty_database.replace("//postgres@", f"//{role}@"))
    finally:
        await admin.execute(f"DROP ROLE {role}")
        await admin.close()
