# mypy: ignore-errors
# ruff: noqa: D103
# Its peer is not installed where types are checked; drain_protocol tells what `fill` and `work` do.
"""huey on Redis: popped before the run, so what runs when the worker dies is lost.

hiredis; handlers return None, so no results are stored; no health checks, no periodic tasks.

Tried, in tasks a second: 100 threads 2,350; 10 2,500; 1 3,370; 100 greenlets 2,350. Its fastest runs one at a time.
"""

from __future__ import annotations

from drain_protocol import REDIS_URL, TASKS, main, payload, ran, tuned

KIND = tuned("KIND", "thread")
WORKERS = int(tuned("WORKERS", "1"))
if KIND == "greenlet":
    from gevent import monkey

    monkey.patch_all()

from typing import Any  # noqa: E402 - after the patch

from huey import RedisHuey  # noqa: E402

huey = RedisHuey("bench", url=REDIS_URL)


@huey.task(name="nothing")
def nothing(carried: dict[str, Any]) -> None:
    ran(carried["number"])


def fill() -> None:
    for number in range(TASKS):
        nothing(payload(number))


def work() -> None:
    huey.create_consumer(
        workers=WORKERS,
        worker_type=KIND,
        periodic=False,
        check_worker_health=False,
        graceful_signal="TERM",
    ).run()


if __name__ == "__main__":
    main(fill=fill, work=work)
