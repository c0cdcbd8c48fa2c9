"""Whether the service works: for people and dashboards (/health), for what restarts and routes (/livez, /readyz)."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from sluice.api.answers import answer
from sluice.api.deps import Provided
from sluice.api.openapi import documented
from sluice.api.problems.errors import InvalidParameters, NotReady
from sluice.api.routes.queries import refuse_query
from sluice.api.schemas.health import Alive, Health, Ready

router = APIRouter(tags=["health"])

_ANSWERS = documented(InvalidParameters)
_UNHEALTHY = "unhealthy: PostgreSQL does not answer, or takes no writes · " + _ANSWERS[503]["description"]


@router.get(
    "/health",
    summary="How the stores, consumers and queues are",
    response_model=Health,
    responses={**_ANSWERS, 503: {**_ANSWERS[503], "model": Health, "description": _UNHEALTHY}},
)
async def get_health(request: Request, ours: Provided) -> Response:
    """The stores, the consumers whose lease is live and the depth of each queue; at most a second old."""
    refuse_query(request)
    checkup = await ours.health.report()
    return answer(checkup, 503 if checkup.status == "unhealthy" else 200)


@router.get(
    "/livez",
    summary="Whether the process serves requests",
    response_model=Alive,
    responses=documented(),
)
async def get_livez() -> Response:
    """The process serves requests. Restart it when this fails: it says nothing of the stores."""
    return answer({"status": "alive"})


@router.get(
    "/readyz",
    summary="Whether requests should come here",
    response_model=Ready,
    responses=documented(NotReady),
)
async def get_readyz(ours: Provided) -> Response:
    """The process can do its work: PostgreSQL takes writes, its schema is the right one, nobody asked for a stop."""
    if why := await ours.health.unready():
        raise NotReady(why)
    return answer({"status": "ready"})
