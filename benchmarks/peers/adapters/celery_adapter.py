# mypy: ignore-errors
# ruff: noqa: D103
# Its peer is not installed where types are checked; drain_protocol tells what `fill` and `work` do.
"""Celery on Redis: kept in a hash of unacknowledged messages until the run is over (`acks_late`); no results.

hiredis; no gossip, no mingle, no heartbeat, which one worker does not need.

Tried, in tasks a second: the solo pool with 4 prefetched 1,120, with 100 1,010; 100 threads 910; 100 greenlets 750.
"""

from __future__ import annotations

import contextlib
from typing import Any

from drain_protocol import CONCURRENCY, REDIS_URL, TASKS, main, payload, ran, tuned

POOL = tuned("POOL", "solo")
PREFETCH = int(tuned("PREFETCH", "4"))
if POOL == "gevent":
    from gevent import monkey

    monkey.patch_all()

from celery import Celery  # noqa: E402 - after the patch, as the celery command does it

app = Celery("bench", broker=REDIS_URL.replace("unix://", "redis+socket://"))
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=PREFETCH,
    worker_redirect_stdouts=False,
    broker_connection_retry_on_startup=True,
)


@app.task(name="nothing")
def nothing(carried: dict[str, Any]) -> None:
    ran(carried["number"])


def fill() -> None:
    with app.producer_pool.acquire(block=True) as producer:
        for number in range(TASKS):
            nothing.apply_async((payload(number),), producer=producer)


def work() -> None:
    with contextlib.suppress(SystemExit):
        app.worker_main(
            [
                *("worker", f"--pool={POOL}", f"--concurrency={CONCURRENCY}", "--loglevel=WARNING"),
                *("--without-gossip", "--without-mingle", "--without-heartbeat"),
            ]
        )


if __name__ == "__main__":
    main(fill=fill, work=work)
