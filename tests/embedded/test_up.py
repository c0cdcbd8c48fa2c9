"""`sluice up` as its user sees it: one command, tasks come out done, and nothing stays behind."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
from pathlib import Path

import asyncpg
import pytest

from sluice.cli.embedded import Servers
from sluice.cli.embedded.place import make_home
from sluice.cli.supervise.lock import hold
from tests.embedded.support import start_up, up
from tests.embedded.up_client import completed, post, reached, task
from tests.support import launching
from tests.support.eventually import eventually
from tests.support.families import gone
from tests.support.saving import save

DOUBLE = (
    "from sluice import Context, handler\n\n\n"
    "@handler('double')\nasync def double(ctx: Context, payload: dict) -> dict:\n"
    "    return {'twice': payload['n'] * 2}\n"
)


async def test_tasks_are_completed_and_ctrl_c_waits_for_the_last_and_leaves_nothing(root: Path) -> None:
    async with up(root) as running:
        first = await post(running, message="Hello World")
        await completed(running, first)
        last = await post(running, kind="sleep", payload={"seconds": 1.0})
        await eventually(lambda: reached(running, last, "processing"))
        assert running.urls.redis_url.startswith("unix:///tmp/sluice-")
        everybody = running.everybody
        assert await running.interrupt() == 0
        assert all(map(gone, everybody))
        assert not (root / ".sluice" / "lock").exists()
        assert not Path(running.urls.redis_url.removeprefix("unix://")).parent.exists()
    async with Servers(root, valkey=False) as urls:
        connection = await asyncpg.connect(urls.database_url)
        rows = await connection.fetch("SELECT id::text, status, attempt FROM tasks ORDER BY id")
        await connection.close()
    assert [tuple(row) for row in rows] == [(first, "completed", 1), (last, "completed", 1)]


async def test_another_shell_is_told_where_the_api_is_and_psql_finds_the_tables(root: Path) -> None:
    async with up(root) as running:
        task_id = await post(running, message="Hello World")
        assert running.process.stdout is not None
        line = await running.process.stdout.readline()
        assert line.decode() == f"export SLUICE_URL={running.url}\n"
        psql = await launching.start(
            *("sluice", "psql", "-qAtXc", "SELECT id FROM tasks"),
            cwd=root,
            environment={
                **launching.inherited("DATABASE_URL"),
                "PGHOSTADDR": "127.0.0.9",
            },
            stdout=asyncio.subprocess.PIPE,
        )
        told, _ = await psql.communicate()
        assert (psql.returncode, told.decode()) == (0, f"{task_id}\n")


async def test_a_second_one_in_the_same_directory_says_who_holds_it(root: Path) -> None:
    with hold(make_home(root)):
        second, log = await start_up(root)
        assert await second.wait() == 1
    assert re.fullmatch(rf".*in use by process {os.getpid()}: .*\n", log.read_text())


async def test_a_second_ctrl_c_does_not_wait_for_tasks_and_ephemeral_data_is_forgotten(root: Path) -> None:
    async with up(root, "--ephemeral") as running:
        task_id = await post(running, kind="sleep", payload={"seconds": 600})
        await eventually(lambda: reached(running, task_id, "processing"))
        running.process.send_signal(signal.SIGINT)
        await eventually(lambda: "stopping;" in running.said())
        assert (root / ".sluice" / "ephemeral").exists()
        assert await running.interrupt() == 0
    # Copies of the servers' programs may stay: they are made where the servers' account cannot reach the environment.
    assert {path.name for path in (root / ".sluice").iterdir()} - {"programs"} == {".gitignore"}


async def test_a_signal_during_the_first_start_leaves_nothing(root: Path) -> None:
    process, _ = await start_up(root)
    await eventually(lambda: any((root / ".sluice").glob("pg18*")))
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    assert not (root / ".sluice" / "lock").exists()


async def test_a_wrong_handler_module_is_told_once_and_tried_again_while_the_rest_serves(
    root: Path, database_url: str
) -> None:
    async with up(root, DATABASE_URL=database_url, REDIS_URL="", HANDLERS="no_such_module") as running:
        assert "Consumer    does not run yet" in running.box
        task_id = await post(running, message="Hello World")
        await eventually(lambda: "consumer ended with status 1: trying again in 2 s" in running.said())
        lines = running.said().splitlines()
        first = lines.index("sluice: consumer ended with status 1: trying again in 1 s")
        assert "no_such_module" in lines[first - 1]
        save(root / "no_such_module.py", DOUBLE)
        await completed(running, task_id)
        assert running.said().count("HANDLERS") == 1
        assert "Traceback" not in running.said()
        assert await running.interrupt() == 0
    assert not (root / ".sluice" / "lock").exists()


async def test_with_reload_the_consumer_runs_what_was_saved_last(root: Path, database_url: str) -> None:
    mine = root / "mine.py"
    mine.write_text("1 +\n")
    async with up(root, "--reload", DATABASE_URL=database_url, REDIS_URL="", HANDLERS="mine") as running:
        assert "Consumer    does not run yet" in running.box
        assert running.said().count(f"SyntaxError: invalid syntax ({mine}:1)\n") == 1
        api = running.child("-m sluice.api")
        for factor in (2, 3):
            save(mine, DOUBLE.replace("* 2", f"* {factor}"))
            await eventually(lambda: running.said().count('"consumer.started"') == factor - 1, timeout=20)  # noqa: B023
            task_id = await post(running, kind="double", payload={"n": 21})
            await completed(running, task_id)
            assert (await task(running, task_id))["result"] == {"twice": 21 * factor}
        everybody = running.everybody
        assert api in everybody
        assert await running.interrupt() == 0
        assert all(map(gone, everybody))


async def test_a_port_in_use_is_told_before_anything_is_started(root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process, log = await start_up(root, "--port", str(port))
        assert await process.wait() == 1
    assert re.fullmatch(rf".*port {port} on 127\.0\.0\.1 is in use: .*--port\n", log.read_text())
    assert not (root / ".sluice" / "pg18").exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"WORKER_QUEUE_MAXSIZE": "0"}, "WORKER_QUEUE_MAXSIZE"),
        ({"REDIS_URL": "x"}, "leave it out for an embedded server"),
        ({"DATABASE_URL": "x"}, "leave it out, or empty, for an embedded server"),
    ],
)
async def test_a_wrong_setting_is_told_before_anything_is_started(
    root: Path, settings: dict[str, str], said: str
) -> None:
    process, log = await start_up(root, **settings)
    assert await process.wait() == 1
    assert said in log.read_text()
    assert log.read_text().count("\n") == 1
    assert not (root / ".sluice").exists()


async def test_servers_that_are_named_and_handlers_beside_the_command_are_used(
    root: Path, database_url: str
) -> None:
    (root / "mine.py").write_text(DOUBLE)
    async with up(root, DATABASE_URL=database_url, REDIS_URL="", HANDLERS="mine") as running:
        task_id = await post(running, kind="double", payload={"n": 21})
        await completed(running, task_id)
        assert (await task(running, task_id))["result"] == {"twice": 42}
        name = database_url.partition("?")[0].rpartition("/")[2]
        assert f"PostgreSQL  {name} at " in running.box
        assert "Data" not in running.box
        assert f"sluice: using the database {name} at " in running.said()
        assert not (root / ".sluice" / "pg18").exists()
        assert not (root / ".sluice" / "valkey").exists()


async def test_a_wrong_database_is_refused_with_how_to_do_without(root: Path, unused_tcp_port: int) -> None:
    (root / ".env").write_text(f"DATABASE_URL=postgresql://me@127.0.0.1:{unused_tcp_port}/x?sslmode=never\n")
    process, log = await start_up(root, REDIS_URL="")
    assert await process.wait() == 1
    first, second = log.read_text().splitlines()
    assert first == f"sluice: using the database x at 127.0.0.1:{unused_tcp_port} (DATABASE_URL in .env)"
    assert second.endswith("; leave it out, or empty, for an embedded server")
