# mypy: ignore-errors
# ruff: noqa: D103
# Its peer is not installed where types are checked; drain_protocol tells what `fill` and `work` do.
"""arq: an entry of a sorted set that is removed after the run.

hiredis and uvloop; results are not kept and not logged.

Tried, in tasks a second, with looks 0.01 s apart: 100 jobs at once 1,540; 500 1,080. With 0.5 s, the default: 1,000.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import uvloop
from arq import create_pool, func
from arq.connections import RedisSettings
from arq.worker import Worker
from drain_protocol import CONCURRENCY, REDIS_URL, TASKS, chunks, main, payload, ran, stopped_in_loop, tuned

POLL = float(tuned("POLL", "0.01"))
JOBS = int(tuned("JOBS", str(CONCURRENCY)))

SETTINGS = RedisSettings.from_dsn(REDIS_URL)


async def nothing(ctx: dict[str, Any], carried: dict[str, Any]) -> None:  # noqa: ARG001 - given
    ran(carried["number"])


async def fill() -> None:
    pool = await create_pool(SETTINGS)
    for numbers in chunks(range(TASKS), 20):
        await asyncio.gather(*(pool.enqueue_job("nothing", payload(number)) for number in numbers))
    await pool.aclose()


async def work() -> None:
    stop = stopped_in_loop()
    worker = Worker(
        [func(nothing, name="nothing", keep_result=0)],
        redis_settings=SETTINGS,
        handle_signals=False,
        max_jobs=JOBS,
        poll_delay=POLL,
        log_results=False,
    )
    async with asyncio.TaskGroup() as group:
        running = group.create_task(worker.async_run())
        await stop.wait()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    await worker.close()


if __name__ == "__main__":
    main(fill=lambda: uvloop.run(fill()), work=lambda: uvloop.run(work()))
