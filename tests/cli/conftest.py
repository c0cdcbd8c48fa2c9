"""Databases of a test's own, for what changes a schema, and the command itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from cli.embedded import Urls
from tests.cli.support import Command


@pytest.fixture
async def empty_database(servers: Urls) -> AsyncIterator[str]:
    """The URL of a database that holds nothing."""
    name = f"empty_{uuid4().hex}"
    admin: asyncpg.Connection[Any] = await asyncpg.connect(servers.database_url)
    try:
        await admin.execute(f"CREATE DATABASE {name}")
        yield urlsplit(servers.database_url)._replace(path=f"/{name}").geturl()
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


@pytest.fixture
def sluice(tmp_path: Path) -> Command:
    """`sluice`, to be called with its arguments."""
    return Command(tmp_path)
