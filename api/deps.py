"""What routes may ask for, made once per process by api/main.py. Holds things, does nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import Request

from api.batches import Batches
from api.cancels import Cancels
from api.health import Health
from api.kinds import Kinds
from api.line import Line
from api.patience import Patience
from api.room import Room
from api.submissions import Submissions
from db.browse import Browse
from db.publisher import Publisher
from db.tasks import Tasks


@dataclass(frozen=True, slots=True)
class Services:
    """The neighbours of the routes. `patience` bounds every look at PostgreSQL that has no bound of its own."""

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
    patience: Patience
    room: Room


def services(request: Request) -> Services:
    """Those of this process."""
    return cast(Services, request.app.state.services)


async def _services(request: Request) -> Services:
    # A coroutine: FastAPI sends a plain function to a thread.
    return services(request)


Provided = Annotated[Services, Depends(_services)]
