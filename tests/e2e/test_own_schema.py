"""SLUICE_SCHEMA: an API, a consumer and a handler on a database whose own tables are called like ours."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest

from sluice.cli.embedded import Urls
from sluice.cli.migrate import upgrade
from tests.support.databases import connected, named
from tests.support.eventually import eventually

SCHEMA = "order"  # a word that must be quoted
HANDLER = """
from sqlalchemy import text
from sluice import Context, handler

@handler("note")
async def note(ctx: Context, payload: dict) -> str:
    session = await ctx.session()
    if "path" in payload:
        await session.execute(text(f"SET {payload['path']}"))
    await session.execute(text("INSERT INTO tasks (title) VALUES (:title)"), {"title": payload["title"]})
    return await session.scalar(text("SELECT current_setting('search_path')"))
"""
THEIRS = (
    "CREATE TABLE {}tasks (title text); CREATE TABLE {}consumers (id int); CREATE TABLE {}kinds (id int);"
)


@pytest.fixture
async def shared_database(servers: Urls) -> AsyncIterator[str]:
    """The URL of a database with tables of somebody else's, and ours in SCHEMA."""
    name = f"shared_{uuid4().hex}"
    url = named(servers.database_url, name)
    async with connected(servers.database_url) as admin:
        await admin.execute(f"CREATE DATABASE {name}")
        async with connected(url) as owner:
            await owner.execute(THEIRS.format("", "", ""))
            await owner.execute("CREATE SCHEMA tenant;" + THEIRS.format(*["tenant."] * 3))
        await upgrade(url, schema=SCHEMA)
        yield url
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@asynccontextmanager
async def _serving(
    url: str, redis_url: str, prefix: str, directory: Path, port: int
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of `api --with-consumer`; at the end it has stopped cleanly."""
    (directory / "noting.py").write_text(HANDLER)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "api", "--port", str(port), "--with-consumer"),
        env={
            **os.environ,
            "DATABASE_URL": url,
            "SLUICE_SCHEMA": SCHEMA,
            "REDIS_URL": redis_url,
            "REDIS_PREFIX": prefix,
            "HANDLERS": "noting",
            "DRAIN_SECONDS": "1",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
        cwd=directory,
        start_new_session=True,
    )
    try:
        async with httpx2.AsyncClient(
            verify=False, base_url=f"http://127.0.0.1:{port}", trust_env=False
        ) as client:

            async def consumes() -> bool:
                assert process.returncode is None
                try:
                    return bool((await client.get("/health")).json()["consumers"])
                except httpx2.TransportError:
                    return False

            await eventually(consumes, timeout=40)
            yield client
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_handlers_find_their_tables_and_their_completion_finds_ours(
    shared_database: str,
    redis_url: str,
    redis_prefix: str,
    tmp_path: Path,
    unused_tcp_port_factory: Callable[[], int],
) -> None:
    payloads = [
        {"title": "plain"},
        {"title": "for its transaction", "path": "LOCAL search_path = tenant"},
        {"title": "for its session", "path": "search_path = tenant"},
        {"title": "after it"},
    ]
    async with _serving(
        shared_database, redis_url, redis_prefix, tmp_path, unused_tcp_port_factory()
    ) as client:
        assert (await client.get("/readyz")).status_code == 200
        ended = []
        for payload in payloads:
            made = await client.post("/tasks", json={"kind": "note", "payload": payload})
            assert made.status_code == 201, made.text
            at = made.headers["Location"]

            async def end(at: str = at) -> dict[str, object]:
                row: dict[str, object] = (await client.get(at)).json()
                return row if row["finished_at"] else {}

            ended.append(await eventually(end))
        listed = (await client.get("/tasks")).json()["tasks"]
    assert [(row["status"], row["attempt"]) for row in ended] == [("completed", 1)] * 4, json.dumps(ended)
    assert [row["result"] for row in ended] == ['"$user", public', "tenant", "tenant", '"$user", public']
    assert len(listed) == 4
    async with connected(shared_database) as connection:
        rows = await connection.fetch("SELECT title FROM public.tasks")
        assert [row["title"] for row in rows] == ["plain", "after it"]
        assert len(await connection.fetch("SELECT title FROM tenant.tasks")) == 2
