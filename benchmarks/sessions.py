"""The baseline of the drain: one task per transaction through SQLAlchemy sessions, as such workers are often written.

Usage: python -m benchmarks.sessions CONCURRENCY POOL; works until nothing is pending, then prints a line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import asyncpg
import uvloop
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from sluice.core.ids import new_consumer_id
from sluice.core.settings import DatabaseSettings, load

# Taking the oldest pending row is the usual form. Popping an id from Redis first was tried: a fifth slower.
CLAIM = text("""
    UPDATE tasks
       SET status = 'processing', consumer_id = :me, fencing_token = fencing_token + 1, attempt = attempt + 1,
           started_at = now(), updated_at = now()
     WHERE id = (SELECT id FROM tasks
                  WHERE queue = 'default' AND priority = 5 AND status = 'pending' AND run_at <= now()
                  ORDER BY run_at, id
                  LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING id, fencing_token, kind, message, payload, attempt, max_attempts, timeout
""")
FINISH = text("""
    UPDATE tasks
       SET status = 'completed', fencing_token = fencing_token + 1,
           finished_at = statement_timestamp(), updated_at = statement_timestamp()
     WHERE id = :id AND fencing_token = :token
""")


async def work(make: async_sessionmaker[AsyncSession]) -> None:
    """Claim one row and complete one row, each in a transaction of its own, until there is none."""
    me = new_consumer_id()
    while True:
        async with make() as session, session.begin():
            row = (await session.execute(CLAIM, {"me": me})).one_or_none()
        if row is None:
            return
        async with make() as session, session.begin():
            await session.execute(FINISH, {"id": row.id, "token": row.fencing_token})


async def main(concurrency: int, pool: int) -> dict[str, Any]:
    """Work with `concurrency` workers on `pool` connections; the CPU seconds that it took."""
    url = load(DatabaseSettings).database_url.get_secret_value()

    async def connect() -> asyncpg.Connection[asyncpg.Record]:
        return await asyncpg.connect(url)

    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, pool_size=pool, max_overflow=0, pool_timeout=600
    )
    make = async_sessionmaker(engine, expire_on_commit=False)
    began, spent = time.monotonic(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(work(make))
    await engine.dispose()
    return {
        "wall_seconds": round(time.monotonic() - began, 4),
        "cpu_seconds": round(time.process_time() - spent, 3),
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(main(*map(int, sys.argv[1:])))))
