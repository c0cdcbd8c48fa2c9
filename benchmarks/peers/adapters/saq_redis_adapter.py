# mypy: ignore-errors
# ruff: noqa: D103
# Its peer is not installed where types are checked; drain_protocol tells what `fill` and `work` do.
"""SAQ on Redis: moved to a list of active jobs before the run, removed from it after; results expire.

orjson, hiredis and uvloop. More connections than the client allows by itself, else 100 jobs at once starve and stall.

Tried, in tasks a second: 10 jobs at once 1,520 and 20 1,410 in one hour; 10 1,050 and 100 1,015 in another.
"""

from __future__ import annotations

import uvloop
from drain_protocol import REDIS_URL, main
from redis.asyncio import Redis
from saq.queue.redis import RedisQueue
from saq_drain import dump, fill, load, work


def queue() -> RedisQueue:
    return RedisQueue(
        Redis.from_url(REDIS_URL, max_connections=400), dump=dump, load=load, max_concurrent_ops=100
    )


if __name__ == "__main__":
    main(fill=lambda: uvloop.run(fill(queue())), work=lambda: uvloop.run(work(queue(), jobs="10")))
