# mypy: ignore-errors
# ruff: noqa: D103
# Its peer is not installed where types are checked; drain_protocol tells what `fill` and `work` do.
"""dramatiq on Redis: moved to the worker's set before the run, deleted by the acknowledgement after it.

hiredis; its default middleware.

Tried, in tasks a second: 8 threads, the default, 1,830; 100 2,150; 2 490.
"""

from __future__ import annotations

from typing import Any

import dramatiq
from drain_protocol import REDIS_URL, TASKS, main, payload, ran, stopped_by_signal, tuned
from dramatiq.brokers.redis import RedisBroker
from dramatiq.worker import Worker

THREADS = int(tuned("THREADS", "100"))

broker = RedisBroker(url=REDIS_URL)
dramatiq.set_broker(broker)


@dramatiq.actor(actor_name="nothing", queue_name="default")
def nothing(carried: dict[str, Any]) -> None:
    ran(carried["number"])


def fill() -> None:
    for number in range(TASKS):
        nothing.send(payload(number))


def work() -> None:
    stop = stopped_by_signal()
    worker = Worker(broker, worker_threads=THREADS)
    worker.start()
    stop.wait()
    worker.stop()
    broker.close()


if __name__ == "__main__":
    main(fill=fill, work=work)
