# mypy: ignore-errors
# ruff: noqa: D103
# Its peer is not installed where types are checked; drain_protocol tells what `fill` and `work` do.
"""PgQueuer: a row in PostgreSQL that is deleted when the job is completed; three rows of its log stay for each job.

Durability preset `durable`, the default, and the settings of `pgq autovac`, both as its performance guide says.
asyncpg and uvloop, as in its own benchmark. No more than 100 jobs at once, or as many as are fetched, its default.

Tried, in tasks a second: 2 managers with batches of 25 and at most 50 jobs each 12,500; 1 with 50 and 100 9,200.
Without a limit: 2 with batches of 50 15,100, 2 with 100 13,900, 5 with 10, its own benchmark's settings, 8,200.
"""

from __future__ import annotations

import asyncio

import asyncpg
import uvloop
from drain_protocol import DATABASE_URL, TASKS, chunks, encoded, main, ran, stopped_in_loop, tuned
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

MANAGERS = int(tuned("MANAGERS", "2"))
BATCH = int(tuned("BATCH", "25"))
LIMIT = int(tuned("LIMIT", "50")) or None
_KIND = "nothing"


async def fill() -> None:
    connection = await asyncpg.connect(DATABASE_URL)
    queries = Queries(AsyncpgDriver(connection))
    await queries.install()
    await queries.optimize_autovacuum()
    for numbers in chunks(range(TASKS), 5000):
        n = len(numbers)
        await queries.enqueue([_KIND] * n, [encoded(number) for number in numbers], [0] * n)
    await connection.close()


async def work() -> None:
    stop = stopped_in_loop()
    managers = []
    for _ in range(MANAGERS):
        manager = PgQueuer(AsyncpgDriver(await asyncpg.connect(DATABASE_URL)))

        @manager.entrypoint(_KIND)
        async def nothing(job: Job) -> None:
            ran(int(job.payload[10:17]))

        managers.append(manager)
    async with asyncio.TaskGroup() as group:
        for manager in managers:
            group.create_task(manager.run(batch_size=BATCH, max_concurrent_tasks=LIMIT))
        await stop.wait()
        for manager in managers:
            manager.shutdown.set()


if __name__ == "__main__":
    main(fill=lambda: uvloop.run(fill()), work=lambda: uvloop.run(work()))
