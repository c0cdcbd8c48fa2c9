"""The API under a server that is not ours: `uvicorn --factory sluice.api:create_app`, settings from the environment."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import httpx2
import pytest

from sluice.cli.embedded import Urls
from tests.support.consuming import ROOT
from tests.support.eventually import eventually

_UVICORN = ("-m", "uvicorn", "--factory", "sluice.api:create_app", "--port", "0")


async def _serve(log: Path, **settings: str) -> asyncio.subprocess.Process:
    with log.open("w") as stderr:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *_UVICORN,
            cwd=ROOT,
            env={"PATH": os.environ.get("PATH", os.defpath), **settings},
            stderr=stderr,
            stdout=stderr,
        )


@pytest.mark.timeout(90)
async def test_uvicorn_serves_the_application_without_an_argument(
    urls: Urls, redis_prefix: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    process = await _serve(
        log, DATABASE_URL=urls.database_url, REDIS_URL=urls.redis_url, REDIS_PREFIX=redis_prefix
    )
    try:
        found = await eventually(
            lambda: re.search(r"running on (http://127\.0\.0\.1:\d+)", log.read_text()), timeout=60
        )
        assert found is not None
        async with httpx2.AsyncClient(base_url=found[1], trust_env=False) as client:
            answer = await client.post("/tasks", json={"message": "Hello World"})
            assert answer.status_code == httpx2.codes.CREATED, answer.text
            assert (await client.get(answer.headers["Location"])).json()["message"] == "Hello World"
    finally:
        process.send_signal(signal.SIGTERM)
        assert await process.wait() in {0, -signal.SIGTERM}, log.read_text()


@pytest.mark.timeout(90)
async def test_the_start_is_checked_there_too(urls: Urls, tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = await _serve(log, DATABASE_URL=urls.database_url, REDIS_URL="", SLUICE_SCHEMA="nobodys")
    assert await process.wait() != 0
    assert "run `sluice migrate`" in log.read_text()
