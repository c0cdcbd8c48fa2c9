"""What routes may ask for, made once per process by api/main.py. Holds things, does nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import Request

from sluice.api.cancels import Cancels
from sluice.api.health import Health
from sluice.api.http.body_budget import BodyBudget
from sluice.api.http.line import Line
from sluice.api.submit.batches import Batches
from sluice.api.submit.kinds import Kinds
from sluice.api.submit.submissions import Submissions
from sluice.api.timeout import Timeout
from sluice.db.browse import Browse
from sluice.db.publisher import Publisher
from sluice.db.tasks import Tasks


@dataclass(frozen=True, slots=True)
class Services:
    """The neighbours of the routes. `timeout` bounds every look at PostgreSQL that has no bound of its own."""

    max_body_bytes: int
    submissions: Submissions
    batches: Batches
    kinds: Kinds
    tasks: Tasks
    browse: Browse
    pages: Line
    publisher: Publisher
    cancels: Cancels
    health: Health
    timeout: Timeout
    budget: BodyBudget


def services(request: Request) -> Services:
    """Those of this process."""
    return cast(Services, request.app.state.services)


async def _services(request: Request) -> Services:
    # A coroutine: FastAPI sends a plain function to a thread.
    return services(request)


Provided = Annotated[Services, Depends(_services)]
