"""One statement of the API's, through async SQLAlchemy. Knows no statement."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy.exc import DBAPIError

from sluice.db.faults import from_our_statement, sqlstate
from sluice.db.session import VICTIM_WAITS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Executable
    from sqlalchemy.ext.asyncio import AsyncEngine

_DEADLOCK = "40P01"
_READ_ONLY = "25006"


async def fetch(engine: AsyncEngine, query: Executable, **values: Any) -> Sequence[Mapping[str, Any]]:
    """Run one statement of ours on a connection of SQLAlchemy's, as a transaction of its own; its rows.

    Raises StoreUnavailable (OutcomeUnknown when it may have taken effect) and RowRefused. A deadlock's victim is sent
    once more (R4 locks). Not safe to cancel where the effect matters: the statement may still take place.
    """
    try:
        try:
            return await _fetch_once(engine, query, values)
        except DBAPIError as error:
            if sqlstate(error) != _DEADLOCK:
                raise
            await asyncio.sleep(VICTIM_WAITS)
            return await _fetch_once(engine, query, values)
    except Exception as error:
        ours = from_our_statement(error)
        if ours is None:
            raise
        raise ours from error


async def _fetch_once(
    engine: AsyncEngine, query: Executable, values: Mapping[str, Any]
) -> Sequence[Mapping[str, Any]]:
    async with engine.connect() as connection:
        try:
            result = await connection.execute(query, values)
        except DBAPIError as error:
            if sqlstate(error) == _READ_ONLY:
                # A session may stay read-only when new ones are not, as after a failover.
                await connection.invalidate()
            raise
        except BaseException:
            await connection.invalidate()  # nobody knows what is still on its way through it
            raise
        return cast("Sequence[Mapping[str, Any]]", result.mappings().all()) if result.returns_rows else ()
