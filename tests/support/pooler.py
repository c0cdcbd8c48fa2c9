"""PgBouncer before the run's PostgreSQL, on machines that have it."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

from tests.support.eventually import eventually

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


@asynccontextmanager
async def pooled(url: str, mode: str, *, directory: Path, port: int, **settings: str) -> AsyncIterator[str]:
    """The URL of the database that `url` names, through a PgBouncer in `mode`."""
    assert PGBOUNCER is not None
    there = urlsplit(url)
    query = parse_qs(there.query)
    host = there.hostname or query["host"][0]
    server = {
        "host": host,
        "port": str(there.port or query.get("port", ["5432"])[0]),
        "user": unquote(there.username or "postgres"),
        **({"password": unquote(there.password)} if there.password else {}),
    }
    own = {
        "listen_addr": "127.0.0.1",
        "listen_port": str(port),
        "unix_socket_dir": "",
        "auth_type": "any",
        "pool_mode": mode,
        **settings,
    }
    configuration = directory / f"pgbouncer-{port}.ini"
    configuration.write_text(
        f"[databases]\n* = {' '.join(f'{key}={value}' for key, value in server.items())}\n[pgbouncer]\n"
        + "".join(f"{key} = {value}\n" for key, value in own.items())
    )
    process = await asyncio.create_subprocess_exec(
        *(PGBOUNCER, *_account(host), str(configuration)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=sys.stderr,
        stderr=sys.stderr,
    )
    through = f"postgresql://{server['user']}@127.0.0.1:{port}{there.path}"

    async def answers() -> bool:
        assert process.returncode is None, "PgBouncer ended"
        try:
            await (await asyncpg.connect(through)).close()
        except OSError:
            return False
        return True

    try:
        await eventually(answers, timeout=20)
        yield through
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _account(host: str) -> tuple[str, ...]:
    """It refuses to be root, and has to reach the server's socket."""
    if os.getuid() != 0:
        return ()
    owner = Path(host).stat().st_uid if host.startswith("/") else 65534
    return ("-u", pwd.getpwuid(owner).pw_name)
