"""The API with one INSERT for each submission: what group commit may not make slower when submissions come alone.

Everything else is the API's own: its server, its routes and its statement.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import uvicorn
import uvloop
from fastapi import FastAPI

from sluice.api.deps import Services
from sluice.api.http.connection import Connection
from sluice.api.main import create_app
from sluice.api.server import Server, Stop
from sluice.api.submit.submissions import HandOver, Submissions, SubmitsTasks
from sluice.core.events import Report
from sluice.core.settings import ApiSettings, load
from sluice.core.task import NewTask, TaskId
from sluice.db.tasks import Accepted


class Unbatched(Submissions):
    """Waits for nobody, and shares its statement with nobody."""

    def __init__(self, store: SubmitsTasks, *, hand_over: HandOver, report: Report) -> None:
        super().__init__(store, hand_over=hand_over, report=report)
        self._store = store
        self._hand_over = hand_over

    async def submit(
        self,
        new: Sequence[NewTask],
        *,
        seconds: float = 0,  # noqa: ARG002 - the statement's own limit is enough here
    ) -> Mapping[TaskId, Accepted]:
        """One statement, committed on return."""
        accepted = await self._store.submit(new)
        self._hand_over(new, accepted)
        return accepted


def create() -> FastAPI:
    """The API's application, with the one part replaced once it has started."""
    app = create_app(load(ApiSettings))
    started = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with started(app):
            services: Services = app.state.services
            alone = Unbatched(
                services.tasks, hand_over=services.publisher.submitted, report=lambda _event: None
            )
            app.state.services = replace(services, submissions=alone)
            yield

    app.router.lifespan_context = lifespan
    return app


async def main(port: int) -> None:
    """Serve on the loopback interface until SIGTERM."""
    config = uvicorn.Config(
        create(),
        port=port,
        loop="none",
        http=Connection,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )
    await Server(config, Stop()).serve()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
