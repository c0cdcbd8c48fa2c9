"""A project with packages named `api`, `cli`, `consumer`, `core` and `db`, beside the wheel in a fresh environment."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from sluice.cli.embedded import Urls
from tests.embedded.support import _read_box
from tests.install.conftest import SLOW, Installed
from tests.support.consuming import ROOT
from tests.support.eventually import eventually
from tests.support.families import family, gone

ORDER = {"customer": "Ada", "lines": [{"article": "kettle", "cents": 2990}, {"article": "tea", "cents": 410}]}
RESULTS = {
    "order.invoice": 4046,
    "order.greet": "Dear Ada",
    "order.label": "kettle.................29.90\ntea.....................4.10",
}


def environment(installed: Installed, shop: Path, **more: str) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LD_LIBRARY_PATH": str(installed.libraries),
        "HOME": str(shop),
        "HANDLERS": "tasks",
        "LOG_FORMAT": "json",
        **more,
    }


def ask(
    installed: Installed, shop: Path, *words: str, env: Mapping[str, str], user: int | None = None
) -> str:
    """What a command prints that is run in the project."""
    done = subprocess.run(
        words,
        cwd=shop,
        env=env,
        user=user,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def results(installed: Installed, shop: Path, env: Mapping[str, str]) -> dict[str, Any]:
    """What each kind's handler returned, as `sluice submit --wait` shows it."""
    found = {}
    for kind in RESULTS:
        words = (str(installed.command), "submit", "--kind", kind, "--payload", json.dumps(ORDER))
        found[kind] = json.loads(ask(installed, shop, *words, "--wait", "-o", "json", env=env))["result"]
    return found


@asynccontextmanager
async def running(
    *words: object, shop: Path, env: Mapping[str, str], user: int | None = None
) -> AsyncIterator[tuple[asyncio.subprocess.Process, Path]]:
    """A command of the project's; nothing of it is left at the end."""
    log = shop / f"stderr-{uuid4()}"  # two may run at once
    with log.open("w") as stderr:
        process = await asyncio.create_subprocess_exec(
            *map(str, words),
            cwd=shop,
            env=env,
            user=user,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
    everybody = [process.pid]
    try:
        yield process, log
        everybody = family(process.pid)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0, log.read_text()
    finally:
        if process.returncode is None:
            everybody = family(process.pid)
            process.kill()
            await process.wait()
        await eventually(lambda: all(map(gone, everybody)))


@pytest.mark.timeout(180)
async def test_sluice_up_runs_its_handlers(installed: Installed, shop: Path, user: int | None) -> None:
    if user is not None:
        os.chown(shop, user, user)
    env = environment(installed, shop)
    async with running(installed.command, "up", "--port", "0", shop=shop, env=env, user=user) as (
        process,
        log,
    ):
        _, url, urls = await _read_box(process, log, named={})
        env |= {"SLUICE_URL": url, "DATABASE_URL": urls.database_url}
        ask(installed, shop, str(installed.python), "-m", "cli.setup", env=env, user=user)
        found = await asyncio.to_thread(results, installed, shop, env)
        assert found == RESULTS
        connection = await asyncpg.connect(urls.database_url)
        assert await connection.fetchval("SELECT sum(cents) FROM shop_invoices") == RESULTS["order.invoice"]
        await connection.close()


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "consumer",
    [
        ("{command}", "consumer"),
        ("{command}", "consumer", "--processes", "2"),
        pytest.param(("{python}", "-m", "sluice", "consumer"), marks=SLOW),
        pytest.param(("{command}", "api", "--port", "0", "--with-consumer", "--workers", "2"), marks=SLOW),
    ],
    ids=["consumer", "processes", "python -m", "beside the API"],
)
async def test_consumers_run_its_handlers(
    installed: Installed, shop: Path, urls: Urls, redis_prefix: str, consumer: tuple[str, ...]
) -> None:
    env = environment(
        installed, shop, DATABASE_URL=urls.database_url, REDIS_URL=urls.redis_url, REDIS_PREFIX=redis_prefix
    )
    words = [word.format(command=installed.command, python=installed.python) for word in consumer]
    ask(installed, shop, str(installed.python), "-m", "cli.setup", env=env)
    async with (
        running(installed.command, "api", "--port", "0", shop=shop, env=env) as (_, log),
        running(*words, shop=shop, env=env),
    ):
        env["SLUICE_URL"] = str(await eventually(lambda: _listening(log), timeout=30))
        assert await asyncio.to_thread(results, installed, shop, env) == RESULTS


@pytest.mark.parametrize("where", ["of its own", "in the checkout"])
def test_its_own_tests_call_its_handlers(installed: Installed, shop: Path, where: str) -> None:
    """As `pytest` calls them: -P keeps the directory off the path, as it is for a script."""
    place = shop if where == "of its own" else ROOT / "examples" / "shop"
    env = environment(installed, shop, PYTHONDONTWRITEBYTECODE="1")
    words = (str(installed.python), "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert "1 passed" in ask(installed, place, *words, env=env)


def test_names_given_up_are_the_projects(installed: Installed, shop: Path) -> None:
    """As in the image: a folder of two modules, `api` and `consumer`, lies on the path before the project."""
    names = Path(__file__).parents[2] / "deploy" / "names"
    code = (
        f"import os, sys; sys.path.append({str(names)!r}); sys.path.append(os.getcwd()); "
        "import consumer.orders, api.main; print(consumer.__file__, api.__file__)"
    )
    said = ask(installed, shop, str(installed.python), "-P", "-c", code, env=environment(installed, shop))
    assert said.split() == [str(shop / room / "__init__.py") for room in ("consumer", "api")]


@pytest.mark.parametrize("room", ["api", "consumer"])
def test_given_names_run_the_rooms(installed: Installed, shop: Path, room: str) -> None:
    names = Path(__file__).parents[2] / "deploy" / "names"
    shutil.rmtree(shop / room)
    env = environment(installed, shop, PYTHONPATH=str(names), PYTHONSAFEPATH="1")
    said = ask(installed, shop, str(installed.python), "-m", room, "--help", env=env)
    assert f"python -m {room}" in said


def _listening(log: Path) -> str | None:
    for line in log.read_text().splitlines():
        if '"api.listening"' in line:
            return str(json.loads(line)["url"])
    return None
