# mypy: ignore-errors
# ruff: noqa: D103
# Its peer is not installed where types are checked; drain_protocol tells what `fill` and `work` do.
"""SAQ on PostgreSQL: a row that stays, as completed, until its time to live (10 minutes) has passed.

psycopg's C implementation, orjson and uvloop.

Tried, in tasks a second: 100 jobs at once on 20 connections 790; 20 on 20 790; 10 on 10 760.
"""

from __future__ import annotations

import uvloop
from drain_protocol import DATABASE_URL, main, tuned
from saq.queue.postgres import PostgresQueue
from saq_drain import dump, fill, load, work

POOL = int(tuned("POOL", "20"))


def queue() -> PostgresQueue:
    return PostgresQueue(url=DATABASE_URL, min_size=POOL, max_size=POOL, dump=dump, load=load)


if __name__ == "__main__":
    main(fill=lambda: uvloop.run(fill(queue())), work=lambda: uvloop.run(work(queue(), jobs="100")))
