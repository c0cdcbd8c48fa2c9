"""A table for what handlers do, so that a test can count effects."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from tests.support.stores import Stores


@asynccontextmanager
async def effects_table(stores: Stores) -> AsyncIterator[None]:
    """The table while a test lasts. `once` is unique at once, `late` when the transaction commits."""
    await stores.raw.execute(
        "CREATE TABLE effects (what text, once text UNIQUE, late text UNIQUE DEFERRABLE INITIALLY DEFERRED, "
        "transaction text DEFAULT pg_current_xact_id())"
    )
    try:
        yield
    finally:
        await stores.raw.execute("DROP TABLE effects")


async def write(session: AsyncSession, what: str, **unique: str | None) -> None:
    """What a handler does."""
    await session.execute(
        text("INSERT INTO effects VALUES (:what, :once, :late)"),
        {"what": what, "once": None, "late": None, **unique},
    )


async def effects(stores: Stores) -> list[str]:
    """What was done, as others see it."""
    return [row["what"] for row in await stores.raw.fetch("SELECT what FROM effects ORDER BY what")]
