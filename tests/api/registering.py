"""The kinds that consumers registered, and a cache of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sluice.api.submit.kinds import Kinds
from sluice.core.errors import StoreUnavailable
from sluice.core.events import Event
from sluice.core.task import Kind
from sluice.db.browse import Served
from tests.support.eventually import eventually

ECHO, MAIL = Kind("echo"), Kind("mail.send")
TO_SOMEBODY = {"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]}


class Registered:
    """The table `kinds`."""

    def __init__(self, **schemas: dict[str, Any] | None) -> None:
        self.rows = {Kind(kind): Served(Kind(kind), schema, 8, 30.0) for kind, schema in schemas.items()}
        self.looks = 0
        self.away = False
        self.silent = False

    def add(self, kind: Kind, schema: dict[str, Any] | None = None) -> None:
        self.rows[kind] = Served(kind, schema, None, None)

    async def kinds(self) -> dict[Kind, Served]:
        self.looks += 1
        await asyncio.sleep(0)
        while self.silent:
            await asyncio.sleep(0.01)
        if self.away:
            raise StoreUnavailable("PostgreSQL", "away")
        return dict(self.rows)


@asynccontextmanager
async def cache(table: Registered, *, refuse: bool = True) -> AsyncIterator[Kinds]:
    events: list[Event] = []
    made = Kinds(table, refuse_unknown=refuse, report=events.append)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(made.run())
        await eventually(lambda: made._read_at > 0 or table.away)
        yield made
        made.close()


def now() -> float:
    return asyncio.get_running_loop().time()
