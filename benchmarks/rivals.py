"""What single submissions are compared with: one FastAPI app, two routes with the API's own models.

`/nothing` validates and answers, and does nothing; `/transaction` does what most services would: one session, one
transaction and one LPUSH for each request. Usage: python -m benchmarks.rivals PORT
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import orjson
import uvicorn
from fastapi import FastAPI, Response
from redis.asyncio import Redis
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from benchmarks.preload import LIST
from sluice.api.schemas.submission import Submission
from sluice.api.schemas.task import TaskOut
from sluice.core.ids import new_task_id
from sluice.core.settings import StoreSettings, load
from sluice.core.task import DEFAULT_MAX_ATTEMPTS, DEFAULT_TIMEOUT_SECONDS, Status
from sluice.db.models import TaskRow


def task(new: Submission, task_id: UUID, at: datetime) -> TaskOut:
    """The answer to a submission that was accepted."""
    return TaskOut(
        id=task_id,
        message=new.message,
        status=Status.PENDING,
        created_at=at,
        updated_at=at,
        kind=new.kind,
        queue=new.queue,
        priority=new.priority,
        payload=new.payload,
        run_at=at,
        attempt=0,
        max_attempts=new.max_attempts or DEFAULT_MAX_ATTEMPTS,
        crashes=0,
        timeout=new.timeout or DEFAULT_TIMEOUT_SECONDS,
        fencing_token=0,
        consumer_id=None,
        started_at=None,
        finished_at=None,
        canceled_from=None,
        result=None,
        error=None,
    )


def create_app(settings: StoreSettings) -> FastAPI:
    """Both routes. Connections are opened by the first request that needs one."""

    async def connect() -> asyncpg.Connection[asyncpg.Record]:
        return await asyncpg.connect(settings.database_url.get_secret_value())

    # As many connections as SQLAlchemy's own pool may have under load, but kept: 5 and an overflow of 10, which closes
    # and opens them all the time, was slower. So was inserting through the mapped class instead of its table.
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        json_serializer=lambda value: orjson.dumps(value).decode(),
        pool_size=15,
        max_overflow=0,
    )
    make: async_sessionmaker[AsyncSession] = async_sessionmaker(engine, expire_on_commit=False)
    redis = Redis.from_url(settings.redis_url.get_secret_value())
    same = task(Submission(message="Hello World"), new_task_id(), datetime.now(UTC))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await engine.dispose()
        await redis.aclose()

    tasks = TaskRow.metadata.tables["tasks"]
    app = FastAPI(lifespan=lifespan)

    @app.post("/nothing", status_code=201)
    async def nothing(new: Submission, response: Response) -> TaskOut:  # noqa: ARG001 - validated, that is all
        response.headers["Location"] = f"/tasks/{same.id}"
        return same

    @app.post("/transaction", status_code=201)
    async def transaction(new: Submission, response: Response) -> TaskOut:
        task_id = new_task_id()
        async with make() as session, session.begin():
            row = (
                await session.execute(
                    insert(tasks)
                    .values(
                        id=task_id,
                        kind=new.kind,
                        queue=new.queue,
                        priority=new.priority,
                        message=new.message,
                        payload=new.payload,
                        max_attempts=new.max_attempts or DEFAULT_MAX_ATTEMPTS,
                        timeout=new.timeout or DEFAULT_TIMEOUT_SECONDS,
                    )
                    .returning(tasks.c.created_at)
                )
            ).one()
        await redis.lpush(LIST, str(task_id))
        response.headers["Location"] = f"/tasks/{task_id}"
        return task(new, task_id, row.created_at)

    return app


if __name__ == "__main__":
    uvicorn.run(
        create_app(load(StoreSettings)),
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
