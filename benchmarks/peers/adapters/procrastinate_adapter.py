# mypy: ignore-errors
# ruff: noqa: D103
# Its peer is not installed where types are checked; drain_protocol tells what `fill` and `work` do.
"""procrastinate: a row in PostgreSQL that stays, and rows of its event table beside it.

psycopg's C implementation and uvloop.

Tried, in tasks a second: 100 jobs at once on 20 connections 590; 10 on 11 (a connection for each job and one more, as
its manual says) 680; 20 on 5 670.
"""

from __future__ import annotations

import uvloop
from drain_protocol import DATABASE_URL, TASKS, chunks, main, payload, ran, tuned
from procrastinate import App, PsycopgConnector

POOL = int(tuned("POOL", "11"))
JOBS = int(tuned("JOBS", "10"))

app = App(connector=PsycopgConnector(conninfo=DATABASE_URL, min_size=POOL, max_size=POOL))


@app.task(name="nothing")
async def nothing(carried: dict) -> None:
    ran(carried["number"])


async def fill() -> None:
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for numbers in chunks(range(TASKS), 1000):
            await nothing.batch_defer_async(*({"carried": payload(number)} for number in numbers))


async def work() -> None:
    async with app.open_async():
        await app.run_worker_async(concurrency=JOBS, install_signal_handlers=True)


if __name__ == "__main__":
    main(fill=lambda: uvloop.run(fill()), work=lambda: uvloop.run(work()))
