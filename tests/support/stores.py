"""Every store of ours on one database and one REDIS_PREFIX, opened the way the processes open them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from sluice.cli.embedded import Urls
from sluice.core.audience import Audiences, Signature
from sluice.core.events import Event
from sluice.core.ids import new_consumer_id, new_task_id
from sluice.core.task import (
    DEFAULT_QUEUE,
    Claim,
    ConsumerId,
    Kind,
    NewTask,
    QueueName,
    ReadyList,
    Task,
    TaskId,
)
from sluice.db.broker import Broker, ask
from sluice.db.browse import Browse
from sluice.db.claims import Claims
from sluice.db.consumers import Consumers, Registration
from sluice.db.keys import Keys
from sluice.db.ready import ReadyLists
from sluice.db.roster import Roster
from sluice.db.session import Database, make_engine
from sluice.db.signals import Signals
from sluice.db.tasks import Accepted, Tasks
from sluice.db.upkeep import Upkeep
from tests.support.eventually import eventually

ECHO = Kind("echo")


def list_of(
    queue: str = DEFAULT_QUEUE,
    priority: int = 5,
    *,
    kinds: Iterable[str] = ("echo",),
    queues: Iterable[str] = (),
) -> ReadyList:
    """The list of a queue and priority while all consumers that are alive serve these kinds, and `queues` beside it."""
    served = Signature.of(map(QueueName, {DEFAULT_QUEUE, queue, *queues}), map(Kind, kinds))
    found = Audiences([served]).list_of(QueueName(queue), min(served.kinds), priority)
    assert found is not None
    return found


DEFAULT_LIST = list_of()
"""Where a hint goes while a plain `Stores.consumer` is the only one alive."""


def new(kind: str = "echo", **values: Any) -> NewTask:
    """A submission with an id of its own."""
    return NewTask(id=new_task_id(), kind=Kind(kind), **values)


@dataclass(frozen=True, slots=True)
class Stores:
    """What api/main.py and consumer/stores.py open, in one place. `events` collects what they report."""

    engine: AsyncEngine
    database: Database
    tasks: Tasks
    claims: Claims
    consumers: Consumers
    upkeep: Upkeep
    browse: Browse
    broker: Broker
    keys: Keys
    ready: ReadyLists
    signals: Signals
    roster: Roster
    events: list[Event]
    raw: asyncpg.Connection[Any]
    """For what no statement of ours does: forging rows, looking at the catalogue."""

    async def submit(self, *tasks: NewTask) -> dict[TaskId, Accepted]:
        """Commit the rows and push nothing."""
        return await self.tasks.submit(tasks)

    async def submit_and_push(self, tasks: Iterable[NewTask]) -> list[TaskId]:
        """What the API does with a batch: commit, then push what is due, list by list, to whoever is alive."""
        tasks = list(tasks)
        await self.roster.step()
        accepted = await self.tasks.submit(tasks)
        lists: dict[ReadyList, list[TaskId]] = {}
        for task in tasks:
            ready = self.roster.audiences.list_of(task.queue, task.kind, task.priority)
            if accepted[task.id].due and ready is not None:
                lists.setdefault(ready, []).append(task.id)
        await self.ready.push(lists)
        return [task.id for task in tasks]

    async def consumer(
        self,
        *,
        lease: timedelta = timedelta(seconds=30),
        kinds: Iterable[str] = ("echo",),
        queues: Iterable[str] = (DEFAULT_QUEUE,),
    ) -> ConsumerId:
        """A consumer that has registered itself, and is alive as far as its row says."""
        consumer = new_consumer_id()
        await self.consumers.register(
            consumer,
            Registration(
                "host", 1, [QueueName(name) for name in queues], [Kind(kind) for kind in kinds], 100, lease
            ),
        )
        return consumer

    async def dies(self, consumer: ConsumerId) -> None:
        """Others declare it dead."""
        beats = [beat for beat in await self.upkeep.beats() if beat.consumer == consumer]
        assert await self.upkeep.declare_dead(beats) == 1

    async def claimed(self, *tasks: NewTask, consumer: ConsumerId | None = None) -> list[Claim]:
        """Submit them and claim them, in their order."""
        await self.tasks.submit(tasks)
        claims = await self.claims.claim(
            [task.id for task in tasks],
            consumer=consumer or new_consumer_id(),
            kinds=list({task.kind for task in tasks}),
        )
        order = {task.id: at for at, task in enumerate(tasks)}
        return sorted(claims, key=lambda claim: order[claim.id])

    async def get(self, task_id: TaskId) -> Task:
        """The row as it is."""
        return await self.tasks.get(task_id)

    async def heard(self, priority: int = 5, *, queue: str = DEFAULT_QUEUE, kind: str = ECHO) -> ReadyList:
        """The list at which whoever is alive waits for such a task, as soon as somebody is."""

        async def look() -> ReadyList | None:
            await self.roster.step()
            return self.roster.audiences.list_of(QueueName(queue), Kind(kind), priority)

        found = await eventually(look)
        assert found is not None
        return found

    async def sql(self, statement: str, **values: Any) -> None:
        """A statement beside whatever `raw` has open."""
        async with self.engine.connect() as connection:
            await connection.execute(text(statement), values)

    async def waited_for(self, words: str = "") -> None:
        """Until some connection to this database waits for a lock, with a statement that holds `words`."""
        waiting = text(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock' AND strpos(query, :words) > 0"
        ).bindparams(words=words)

        async def look() -> int:
            async with self.engine.connect() as connection:
                return int(await connection.scalar(waiting))

        await eventually(look, timeout=10)

    async def entries(self, ready: ReadyList = DEFAULT_LIST) -> list[str]:
        """What the Redis list holds, the newest first."""
        found = await ask(self.broker.commands, "LRANGE", self.keys.ready(ready), 0, -1)
        return [entry.decode("utf-8", "replace") for entry in found]

    async def redis(self, *words: str | bytes | float) -> Any:
        """Any Redis command."""
        return await ask(self.broker.commands, *words)


async def _forget(redis_url: str, prefix: str) -> None:
    broker = Broker(redis_url)
    async for key in broker.commands.scan_iter(f"{{{prefix}}}:*"):
        await broker.commands.unlink(key)
    await broker.close()


@asynccontextmanager
async def open_stores(urls: Urls, prefix: str) -> AsyncIterator[Stores]:
    """The stores; at the end every connection is closed and every key under the prefix is gone."""
    events: list[Event] = []
    engine = make_engine(urls.database_url, role="test", pool_size=8)
    database = Database(engine)
    broker, keys = Broker(urls.redis_url), Keys(prefix)
    ready, signals = ReadyLists(broker, keys, events.append), Signals(broker, keys)
    raw: asyncpg.Connection[Any] = await asyncpg.connect(
        urls.database_url, server_settings={"lock_timeout": "5s", "statement_timeout": "20s"}
    )
    try:
        yield Stores(
            engine=engine,
            database=database,
            tasks=Tasks(engine),
            claims=Claims(database),
            consumers=Consumers(database),
            upkeep=Upkeep(database),
            browse=Browse(engine, engine),
            broker=broker,
            keys=keys,
            ready=ready,
            signals=signals,
            roster=Roster(Consumers(database)),
            events=events,
            raw=raw,
        )
    finally:
        await raw.close()
        await database.close()
        await broker.close()
        await _forget(urls.redis_url, prefix)
