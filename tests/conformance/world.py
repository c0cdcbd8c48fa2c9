"""One face for both: the stores of db/ on a real PostgreSQL, and those of SimStore. Time passes when a test says so."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, timedelta
from random import Random
from typing import Any, Protocol

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from sluice.db.browse import Browse
from sluice.db.claims import Claims
from sluice.db.consumers import Consumers
from sluice.db.session import Database, make_engine
from sluice.db.tasks import Tasks
from sluice.db.upkeep import Upkeep
from tests.simulation.store import SimStore
from tests.simulation.store_claims import SimClaims
from tests.simulation.store_consumers import SimConsumers
from tests.simulation.store_tasks import SimBrowse, SimTasks
from tests.simulation.store_upkeep import SimUpkeep
from tests.support.clocked import CHANCE, begin_again, move_on

KEYS = {"tasks": "id", "consumers": "id", "kinds": "kind", "upkeep": "step"}
_JSON = ("payload", "result", "error", "payload_schema", "cursor")
Row = dict[str, Any]
Table = dict[Any, Row]


class World(Protocol):
    """What the suite is written against."""

    @property
    def tasks(self) -> Tasks | SimTasks: ...
    @property
    def claims(self) -> Claims | SimClaims: ...
    @property
    def consumers(self) -> Consumers | SimConsumers: ...
    @property
    def upkeep(self) -> Upkeep | SimUpkeep: ...
    @property
    def browse(self) -> Browse | SimBrowse: ...

    async def advance(self, seconds: float) -> None:
        """Time passes."""

    async def rows(self, table: str) -> Table:
        """Every row of a table by its key, JSON decoded."""


class Simulated:
    """SimStore."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self.store = SimStore(lambda: self._seconds, random=_Even())
        self.tasks, self.claims = self.store.tasks, self.store.claims
        self.consumers, self.upkeep = self.store.consumers, self.store.upkeep
        self.browse = self.store.browse

    async def advance(self, seconds: float) -> None:
        self._seconds += seconds

    async def rows(self, table: str) -> Table:
        held = self.store.tables
        found = {"tasks": held.tasks, "consumers": held.consumers, "kinds": held.kinds, "upkeep": held.steps}
        return {key: _decoded(asdict(row)) for key, row in found[table].items()}  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Real:
    """PostgreSQL, through the classes of db/."""

    url: str
    engine: AsyncEngine
    raw: asyncpg.Connection[Any]
    tasks: Tasks
    claims: Claims
    consumers: Consumers
    upkeep: Upkeep
    browse: Browse

    async def advance(self, seconds: float) -> None:
        await move_on(self.raw, timedelta(seconds=seconds))

    async def rows(self, table: str) -> Table:
        found = await self.raw.fetch(f"SELECT * FROM {table}")  # noqa: S608 - one of KEYS
        return {row[KEYS[table]]: _decoded(dict(row)) for row in found}

    async def begin_again(self) -> None:
        """Empty, and at the beginning of time."""
        await begin_again(self.raw)


@asynccontextmanager
async def real(url: str) -> AsyncIterator[Real]:
    """The stores on a clocked database, as it is."""
    engine = make_engine(url, role="test", pool_size=8)
    database = Database(engine)
    raw: asyncpg.Connection[Any] = await asyncpg.connect(url)
    try:
        yield Real(
            url=url,
            engine=engine,
            raw=raw,
            tasks=Tasks(engine),
            claims=Claims(database),
            consumers=Consumers(database),
            upkeep=Upkeep(database),
            browse=Browse(engine, engine),
        )
    finally:
        await raw.close()
        await database.close()


class _Even(Random):
    """What random() gives on the clocked database."""

    def random(self) -> float:
        return CHANCE


def _decoded(row: Row) -> Row:
    for name in _JSON:
        if isinstance(row.get(name), str):
            row[name] = json.loads(row[name])
    if "expires_at" in row:  # the driver's '-infinity' names no time zone
        row["expires_at"] = row["expires_at"].replace(tzinfo=UTC)
    return row
