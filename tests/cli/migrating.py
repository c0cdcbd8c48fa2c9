"""A look into a database that is migrated: a connection, and the check that every process makes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from db import schema
from db.session import make_engine


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection: asyncpg.Connection[Any] = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def check(url: str) -> None:
    engine = make_engine(url, role="test", pool_size=1)
    try:
        await schema.check(engine)
    finally:
        await engine.dispose()
