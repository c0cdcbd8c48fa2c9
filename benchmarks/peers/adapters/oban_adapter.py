# mypy: ignore-errors
# ruff: noqa: D103
# Its peer is not installed where types are checked; drain_protocol tells what `fill` and `work` do.
"""Oban for Python: a row in PostgreSQL that stays, as completed, until it is pruned.

psycopg's C implementation and uvloop; the telemetry logger is not attached. Needs Python 3.12.

Tried, in tasks a second: a limit of 100 on 10 connections, the default, 3,930, on 3 3,990; 500 on 10 4,340.
"""

from __future__ import annotations

import uvloop
from drain_protocol import (
    CONCURRENCY,
    DATABASE_URL,
    TASKS,
    chunks,
    main,
    payload,
    ran,
    stopped_in_loop,
    tuned,
)
from oban import Job, Oban, worker
from oban.schema import install

JOBS = int(tuned("JOBS", str(CONCURRENCY)))
POOL = int(tuned("POOL", "10"))


@worker(queue="default")
class Nothing:
    """The kind of job that is drained."""

    async def process(self, job: Job) -> None:
        ran(job.args["number"])


async def fill() -> None:
    pool = await Oban.create_pool(DATABASE_URL)
    await install(pool)
    oban = Oban(pool=pool)
    for numbers in chunks(range(TASKS), 1000):
        await oban.enqueue_many(*(Nothing.new(payload(number)) for number in numbers))
    await pool.close()


async def work() -> None:
    stop = stopped_in_loop()
    pool = await Oban.create_pool(DATABASE_URL, min_size=POOL, max_size=POOL)
    async with Oban(pool=pool, queues={"default": JOBS}):
        await stop.wait()
    await pool.close()


if __name__ == "__main__":
    main(fill=lambda: uvloop.run(fill()), work=lambda: uvloop.run(work()))
