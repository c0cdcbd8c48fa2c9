# mypy: ignore-errors
# ruff: noqa: D103
# Its peer is not installed where types are checked; drain_protocol tells what `fill` and `work` do.
"""streaq: an entry of a Redis stream that is acknowledged and deleted after the run.

uvloop and coredis without its checks, as in its own benchmark; results are not kept.

Tried, in tasks a second: 100 at once with 100 prefetched 720, 32 with 32 770, 100 with 500 780; in a faster hour 100
with 100 1,020 and 100 with 500 1,000.
"""

from __future__ import annotations

from typing import Any

import coredis
import uvloop
from drain_protocol import CONCURRENCY, REDIS_URL, TASKS, chunks, main, payload, ran, tuned
from streaq import Worker

JOBS = int(tuned("JOBS", str(CONCURRENCY)))
PREFETCH = int(tuned("PREFETCH", str(CONCURRENCY)))

coredis.Config.optimized = True
worker = Worker(redis_url=REDIS_URL, concurrency=JOBS, prefetch=PREFETCH, anyio_kwargs={"use_uvloop": True})


@worker.task(ttl=0, silent=True)
async def nothing(carried: dict[str, Any]) -> None:
    ran(carried["number"])


async def fill() -> None:
    async with worker:
        for numbers in chunks(range(TASKS), 1000):
            await worker.enqueue_many([nothing.enqueue(payload(number)) for number in numbers])


if __name__ == "__main__":
    main(fill=lambda: uvloop.run(fill()), work=worker.run_sync)
