# mypy: ignore-errors
# ruff: noqa: D103
# Its peer is not installed where types are checked; drain_protocol tells what `fill` and `work` do.
"""RQ: in a registry of started jobs during the run; a worker that dies leaves its job to be found failed.

SimpleWorker, which runs jobs in its own process, one at a time: RQ has no knob for more. hiredis.

Tried, in tasks a second: results kept for 500 s, the default, 332; for ever 337; not at all 265.
"""

from __future__ import annotations

from typing import Any

from drain_protocol import REDIS_URL, TASKS, chunks, main, payload, ran, tuned
from redis import Redis
from rq import Queue, SimpleWorker

RESULT_TTL = int(tuned("RESULT_TTL", "500"))


def nothing(carried: dict[str, Any]) -> None:
    ran(carried["number"])


def fill() -> None:
    queue = Queue(connection=Redis.from_url(REDIS_URL))
    for numbers in chunks(range(TASKS), 1000):
        queue.enqueue_many(
            [
                Queue.prepare_data("rq_adapter.nothing", (payload(number),), result_ttl=RESULT_TTL)
                for number in numbers
            ]
        )


def work() -> None:
    connection = Redis.from_url(REDIS_URL)
    worker = SimpleWorker([Queue(connection=connection)], connection=connection)
    worker.log_job_description = False
    worker.work(logging_level="WARNING")


if __name__ == "__main__":
    main(fill=fill, work=work)
