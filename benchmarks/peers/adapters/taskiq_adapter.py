# mypy: ignore-errors
# ruff: noqa: D103
# Its peer is not installed where types are checked; drain_protocol tells what `fill` and `work` do.
"""taskiq on a Redis stream: an entry that is acknowledged after the run, and stays in the stream.

No result backend, orjson, hiredis and uvloop; 100 tasks at once.

Tried, in tasks a second: 100 entries a read and 100 prefetched 2,170; 500 and 500 2,180; no prefetching 2,110.
"""

from __future__ import annotations

import asyncio

import uvloop
from drain_protocol import CONCURRENCY, REDIS_URL, TASKS, chunks, main, payload, ran, stopped_in_loop, tuned
from taskiq.api import run_receiver_task
from taskiq.serializers import ORJSONSerializer
from taskiq_redis import RedisStreamBroker

COUNT = int(tuned("COUNT", "100"))
PREFETCH = int(tuned("PREFETCH", "100"))

broker = RedisStreamBroker(url=REDIS_URL, xread_count=COUNT, consumer_id="0").with_serializer(
    ORJSONSerializer()
)


@broker.task(task_name="nothing")
async def nothing(carried: dict) -> None:
    ran(carried["number"])


async def fill() -> None:
    await broker.startup()
    for numbers in chunks(range(TASKS), CONCURRENCY):
        await asyncio.gather(*(nothing.kiq(payload(number)) for number in numbers))
    await broker.shutdown()


async def work() -> None:
    stop = stopped_in_loop()
    async with asyncio.TaskGroup() as group:
        worker = group.create_task(
            run_receiver_task(broker, max_async_tasks=CONCURRENCY, max_prefetch=PREFETCH, run_startup=True)
        )
        await stop.wait()
        worker.cancel()
    await broker.shutdown()


if __name__ == "__main__":
    main(fill=lambda: uvloop.run(fill()), work=lambda: uvloop.run(work()))
