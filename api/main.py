"""The API's composition root: the one place where its parts meet. Importing it opens nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import replace
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI

from sluice.api import exception_handlers, openapi
from sluice.api.cancels import Cancels
from sluice.api.deps import Services
from sluice.api.health import Health
from sluice.api.http.body_budget import BodyBudget
from sluice.api.http.line import Line
from sluice.api.http.middleware import Courtesy
from sluice.api.routes import docs, health, tasks
from sluice.api.start import LIMITS, check_stores
from sluice.api.submit.batches import LONGEST, MOST_ROWS_WAITING, Batches
from sluice.api.submit.kinds import Kinds
from sluice.api.submit.submissions import Submissions
from sluice.api.timeout import Timeout
from sluice.core.process.stop import StopOrder
from sluice.core.settings import ApiSettings, load
from sluice.core.telemetry.report import Reporter
from sluice.db import schema
from sluice.db.broker import Broker
from sluice.db.browse import Browse
from sluice.db.consumers import Consumers
from sluice.db.keys import Keys
from sluice.db.publisher import Publisher
from sluice.db.ready import ReadyLists
from sluice.db.roster import Roster
from sluice.db.session import Database, make_engine
from sluice.db.signals import Signals
from sluice.db.tasks import Tasks

Beside = Callable[[StopOrder], AbstractAsyncContextManager[None]]
"""What else this process does while it serves; entered first, left last. It ends by the order that it is given."""

FLUSHERS = 2
"""While one waits for its commit, the other fills the next."""
LOOKS_AT_ONCE = 5
"""Single tasks, looked at or changed: each is one row."""
PAGES_AT_ONCE = 2
"""Each may read ten thousand rows, so lists have connections of their own and wait in a line."""
PAGE_WAIT = timedelta(seconds=0.5)
PROBES_AT_ONCE = 2
"""Probes, health and kinds: each asks once for all who want to know, and none waits for what clients do."""
LOOK = timedelta(seconds=1.7)
FIRST_LOOK = timedelta(milliseconds=200)
"""How long the start waits for health's first look, which opens connections: it takes less while the stores answer."""


class Api(FastAPI):
    """FastAPI with a complete description of what it serves."""

    def openapi(self) -> dict[str, Any]:
        """OpenAPI 3.1, made at the first call."""
        return openapi.describe(self)


def create_app(
    settings: ApiSettings | None = None,
    *,
    beside: Beside | None = None,
    stop: StopOrder | None = None,
) -> FastAPI:
    """Make the whole application. It opens its connections when its lifespan begins, on the loop that serves it.

    Without `settings` it reads them from the environment, and its lifespan begins with a look at the stores: both may
    raise ConfigurationError. `stop` is the caller's to ask: /readyz then sends requests elsewhere.
    """
    checks = settings is None
    settings = settings or load(ApiSettings)
    stop = stop or StopOrder()
    app = Api(
        title="Sluice",
        version=version("sluice-tasks"),
        description=openapi.DESCRIPTION,
        lifespan=partial(_lifespan, settings, beside or nullcontext, stop, checks),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.budget = BodyBudget(tasks.BATCH_BODIES * settings.max_body_bytes)
    app.state.root_path = settings.root_path
    app.add_middleware(Courtesy, root_path=settings.root_path)
    exception_handlers.install(app)
    for router in (tasks.submitting, tasks.batches, tasks.router, health.router, docs.router):
        app.include_router(router)
    app.router.routes.append(docs.assets())
    return app


@asynccontextmanager
async def _lifespan(
    settings: ApiSettings,
    beside: Callable[[StopOrder], AbstractAsyncContextManager[object]],
    stop: StopOrder,
    checks: bool,  # noqa: FBT001 - partial names what FastAPI does not give
    app: FastAPI,
) -> AsyncIterator[None]:
    """Senders stop before receivers: submissions are flushed, then their ids pushed, then connections closed."""
    report = Reporter(settings.log_level)
    if checks:
        await check_stores(settings, report)
    place = settings.sluice_schema
    connect = partial(make_engine, settings.database_url.get_secret_value(), schema=place)
    single = connect(role="api", pool_size=LOOKS_AT_ONCE, limits=LIMITS)
    listing = connect(role="api-list", pool_size=PAGES_AT_ONCE, limits=LIMITS)
    probing = connect(role="api-probe", pool_size=PROBES_AT_ONCE, limits=LIMITS)
    submitting = connect(role="api-submit", pool_size=FLUSHERS, limits=LIMITS)
    submitting_large = connect(
        role="api-batch", pool_size=FLUSHERS, limits=replace(LIMITS, statement=LONGEST, answer=LONGEST)
    )
    redis_url = settings.redis_url.get_secret_value()
    broker = Broker(redis_url) if redis_url else None
    keys = Keys(settings.redis_prefix)
    ready = ReadyLists(broker, keys, report) if broker else None
    signals = Signals(broker, keys) if broker else None

    browse = Browse(probing, listing)
    roster = Roster(Consumers(Database(probing)))
    publisher = Publisher(ready, roster, report=report)
    submissions = Submissions(Tasks(submitting), hand_over=publisher.submitted, report=report)
    large = Submissions(
        Tasks(submitting_large), hand_over=publisher.submitted, report=report, most_rows=MOST_ROWS_WAITING
    )
    kinds = Kinds(browse, refuse_unknown=settings.unknown_kinds == "refuse", report=report)
    ours = app.state.services = Services(
        max_body_bytes=settings.max_body_bytes,
        submissions=submissions,
        batches=Batches(large, ask=browse.kinds),
        kinds=kinds,
        tasks=Tasks(single),
        browse=browse,
        pages=Line("the line of lists", at_once=PAGES_AT_ONCE, wait=PAGE_WAIT),
        publisher=publisher,
        cancels=Cancels(signals, report=report),
        health=Health(
            browse,
            ready,
            signals,
            roster=Roster(Consumers(Database(probing))),
            check_schema=partial(schema.check, probing, place),
            stopping=stop.asked.is_set,
        ),
        timeout=Timeout(LOOK),
        budget=app.state.budget,
    )
    try:
        async with beside(stop), asyncio.TaskGroup() as group:
            flushers = [
                group.create_task(desk.run()) for desk in (submissions, large) for _ in range(FLUSHERS)
            ]
            first_look = ours.health.begin()
            await roster.look(report)  # what is submitted first has an audience as well
            await asyncio.wait({first_look}, timeout=FIRST_LOOK.total_seconds())
            group.create_task(publisher.run())
            looking_around = group.create_task(roster.run(report))
            group.create_task(kinds.run())
            yield
            submissions.close()
            large.close()
            await asyncio.wait(flushers)
            publisher.close()
            kinds.close()
            looking_around.cancel()
    finally:
        for engine in (listing, probing, single, submitting, submitting_large):
            await engine.dispose()
        if broker is not None:
            await broker.close()
