"""Whether a connection keeps its session: a pooler between us and PostgreSQL may give each transaction another."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, cast

from sluice.core.errors import ConfigurationError

if TYPE_CHECKING:
    import asyncpg
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    Driver = asyncpg.Connection[asyncpg.Record]

CHANGES_SESSIONS = (
    "DATABASE_URL leads to a connection pooler that gives each transaction another session, as PgBouncer's "
    "transaction mode does: connect to PostgreSQL itself, or set pool_mode = session"
)

_ORDER = (0, 1, 0, 0, 1, 0, 1, 1, 0, 0, 0, 1, 1)
"""Which of the two connections reads next. Taking turns among servers never gives both what they wrote; where chance
decides between two servers, it does once in eight thousand starts."""

_NOT_OURS = {"42P05", "26000"}
"""On connections that were opened a moment ago: a prepared statement is there already, or is not there any more."""


def complaint(state: str | None, said: str) -> str | None:
    """What a person can do about an error of a pooler's, from its SQLSTATE and words; None when it is not one."""
    if state in _NOT_OURS or "not allowed in statement pooling mode" in said:
        return CHANGES_SESSIONS
    if "unsupported startup parameter" in said:
        return f"PgBouncer: {said}; take it out of DATABASE_URL, or name it in ignore_startup_parameters"
    return None


async def refuse_pooler(engine: AsyncEngine) -> None:
    """Raise ConfigurationError when what was written on one connection is missing there, or is found on another.

    Takes two connections of the engine at once. Asked in the simple protocol: a prepared statement would fail first, in
    words that say nothing of a pooler.
    """
    async with engine.connect() as one, engine.connect() as other:
        drivers = [await _driver(one), await _driver(other)]
        marks = [secrets.token_hex(8) for _ in drivers]
        for driver, mark in zip(drivers, marks, strict=True):
            await driver.execute(f"SET sluice.probe = '{mark}'")
        for which in _ORDER:
            found = await drivers[which].execute(
                f"SELECT WHERE current_setting('sluice.probe', true) = '{marks[which]}'"
            )
            if found != "SELECT 1":
                raise ConfigurationError(CHANGES_SESSIONS)
        for driver in drivers:
            await driver.execute("RESET sluice.probe")


async def _driver(connection: AsyncConnection) -> Driver:
    return cast("Driver", (await connection.get_raw_connection()).driver_connection)
