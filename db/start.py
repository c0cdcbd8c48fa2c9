"""The first look at PostgreSQL when a process starts: waits while it is away, names at once what no waiting mends."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from sluice.core.errors import ConfigurationError, StoreUnavailable, TakesNoWrites
from sluice.core.events import Report, StoreLost
from sluice.db import environment
from sluice.db.faults import from_postgresql, sqlstate
from sluice.db.pooler import complaint, refuse_pooler
from sluice.db.schema import check, refuse_read_only
from sluice.db.session import Database

START_TIMEOUT = timedelta(seconds=30)
_ROUND_SECONDS = 0.5
# The role or its password, a database that is not there, what the role may not do, and parameters of the URL that the
# server takes for settings: one it does not know, a value that does not fit, one that cannot be set like this.
_ONLY_A_PERSON_MENDS = ("28", "3D", "42", "22", "55P02")


async def check_postgresql(engine: AsyncEngine, schema: str, report: Report) -> None:
    """Wait for PostgreSQL as `await_postgresql` does; then it must be migrated, and lose nothing that it acknowledges.

    Raises ConfigurationError and StoreUnavailable. Safe to cancel.
    """
    await await_postgresql(
        engine, on_wait=lambda reason: report(StoreLost("PostgreSQL", doing="start", reason=reason))
    )
    await check(engine, schema)
    await Database(engine).refuse_unsafe_server()


async def await_postgresql(
    engine: AsyncEngine, *, start_timeout: timedelta = START_TIMEOUT, on_wait: Callable[[str], None]
) -> None:
    """Return once two connections open and writes are taken: a standby may be promoted. `on_wait` is told once why not.

    Raises ConfigurationError at once when the URL, the role, the password or the database's name is wrong, or when a
    pooler changes sessions, and StoreUnavailable after `start_timeout`. Safe to cancel.
    """
    deadline = time.monotonic() + start_timeout.total_seconds()
    told = False
    while True:
        try:
            await refuse_pooler(engine)
            async with engine.connect() as connection:
                await refuse_read_only(connection)
            return
        except Exception as error:  # noqa: BLE001 - what is not to be waited out is raised again
            away = _judge(error)
            if time.monotonic() + _ROUND_SECONDS > deadline:
                mend = "promote it" if isinstance(away, TakesNoWrites) else "start it"
                raise StoreUnavailable(
                    away.store,
                    f"{away.reason} (waited {start_timeout.total_seconds():g} s): {mend}, or set DATABASE_URL",
                ) from None
            if not told:
                on_wait(away.reason)
            told = True
        await asyncio.sleep(_ROUND_SECONDS)


def _judge(error: Exception) -> StoreUnavailable:
    """What to wait out; raises what is not."""
    if isinstance(error, TakesNoWrites):
        return error
    lacking = environment.missing(error) or environment.not_allowed(error)
    if lacking is not None:
        raise ConfigurationError(lacking) from None
    refused = next((cause for cause in _causes(error) if isinstance(cause, ValueError | OverflowError)), None)
    if refused is not None:
        raise ConfigurationError(f"DATABASE_URL {_flaw(refused)}") from None
    if told := complaint(sqlstate(error), _first_line(error)):
        raise ConfigurationError(told) from None
    if (sqlstate(error) or "").startswith(_ONLY_A_PERSON_MENDS):
        raise ConfigurationError(f"PostgreSQL: {_first_line(error)}; set DATABASE_URL") from None
    ours = from_postgresql(error)
    if not isinstance(ours, StoreUnavailable):
        raise error
    return ours


def _flaw(refused: BaseException) -> str:
    """Only asyncpg's own words are shown: a parser's may hold a piece of the password."""
    if isinstance(refused, asyncpg.exceptions.ClientConfigurationError | ssl.SSLError):
        return f"cannot be used: {' '.join(str(refused).split())}"
    return "cannot be parsed: look at the port, and percent-encode what is special in the password"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _first_line(error: Exception) -> str:
    inner = getattr(error, "orig", None) or error
    return str(inner).strip().partition("\n")[0].removeprefix(f"{type(inner.__cause__)}: ")
