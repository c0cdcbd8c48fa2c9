"""Submit, get, list, cancel and retry tasks."""

from __future__ import annotations

import asyncio
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from sluice.api.answers import answer, submitted
from sluice.api.deps import Provided, Services, services
from sluice.api.http import body
from sluice.api.openapi import documented
from sluice.api.pagination import TaskQuery, from_cursor, to_cursor
from sluice.api.problems.errors import (
    MOST_FLAWS,
    BodyTooLarge,
    Invalid,
    InvalidParameters,
    MaybeAccepted,
    NotGzip,
    NotJson,
    NotJsonMedia,
    PayloadsRefused,
    UnknownEncoding,
    UnknownKinds,
    Unsound,
)
from sluice.api.problems.findings import of_batch
from sluice.api.routes.direct import DirectRoute, LoneRoute
from sluice.api.routes.queries import refuse_query, refuse_repeated
from sluice.api.schemas.submission import Batch, StatusChange, Submission
from sluice.api.schemas.task import BatchAccepted, TaskOut, TaskPage
from sluice.api.submit import read as intake
from sluice.api.submit.submissions import TIMEOUT
from sluice.core.errors import (
    Hindered,
    OutcomeUnknown,
    Overloaded,
    PayloadRefused,
    RowRefused,
    StoreUnavailable,
    TakesNoWrites,
    TaskNotFound,
    TransitionRefused,
    UnknownKind,
)
from sluice.core.task import Kind, NewTask, QueueName, TaskId
from sluice.db.browse import Page

router = APIRouter(tags=["tasks"])
submitting = APIRouter(tags=["tasks"], route_class=DirectRoute)
batches = APIRouter(tags=["tasks"], route_class=LoneRoute)

BATCH_BODIES = 16
"""How many times MAX_BODY_BYTES a batch may be long."""

AT_A_TIME = 200

Id = Annotated[UUID, Path(alias="task_id", description="The task's id.")]
_BODY = (NotJson, NotGzip, ClientDisconnect, BodyTooLarge, NotJsonMedia, UnknownEncoding, Unsound, Invalid)
_KIND = (UnknownKind, PayloadRefused, RowRefused)
_STORE = (StoreUnavailable, Hindered, OutcomeUnknown)
_CHANGE = (*_STORE, TakesNoWrites, Overloaded)
_SUBMISSION = (MaybeAccepted, *_CHANGE)
_PLACE = {"Location": {"description": "The task's path.", "schema": {"type": "string"}}}
_ID = {"task_id": "$response.body#/id"}
_THEN = {
    "get": {"operationId": "get_task", "parameters": _ID, "description": "The task as it is now."},
    "cancel": {
        "operationId": "change_status",
        "parameters": _ID,
        "requestBody": {"status": "canceled"},
        "description": "Cancel it.",
    },
}
_NEXT_PAGE = {
    "next": {
        "operationId": "list_tasks",
        "parameters": {"cursor": "$response.body#/next_cursor"},
        "description": "The next page, unless next_cursor is null.",
    }
}


def _takes(model: type) -> dict[str, object]:
    """The request body in OpenAPI: the routes read it themselves, so FastAPI cannot know."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


@submitting.post(
    "/tasks",
    summary="Submit a task",
    status_code=201,
    response_model=TaskOut,
    response_description="The task, on disk. Its place is in the header Location.",
    responses={201: {"headers": _PLACE, "links": _THEN}, **documented(*_BODY, *_KIND, *_SUBMISSION)},
    openapi_extra=_takes(Submission),
)
async def submit_task(request: Request) -> Response:
    """Submit a task. The answer comes after the commit: from then on it will be run, whatever dies."""
    refuse_query(request)
    ours = services(request)
    with ours.budget.share() as share:
        submission = await intake.read_submission(
            await body.read(request, ours.max_body_bytes, share), ours.budget
        )
        clock = asyncio.get_running_loop().time
        asked = clock()
        served = await ours.kinds.check(Kind(submission.kind), submission.payload, asked=asked)
        new = intake.complete(submission, served)
        seconds = TIMEOUT.total_seconds() - (clock() - asked)
        accepted = await ours.submissions.submit([new], seconds=seconds)
    place = f"{request.scope['root_path']}/tasks/{new.id}"
    return answer(submitted(submission, new, accepted[new.id]), 201, {"Location": place})


@batches.post(
    "/tasks/batch",
    summary="Submit many tasks, all or none",
    status_code=201,
    response_model=BatchAccepted,
    response_description="All of them, on disk.",
    responses=documented(*_BODY, UnknownKinds, PayloadsRefused, RowRefused, *_SUBMISSION),
    openapi_extra=_takes(Batch),
)
async def submit_batch(request: Request) -> Response:
    """Submit up to 10,000 tasks, all or none."""
    refuse_query(request)
    ours = services(request)
    with ours.budget.share() as share:
        limit = BATCH_BODIES * ours.max_body_bytes
        # Nobody keeps the decoded batch: it is three times as large as what waits to be inserted.
        new = await _completed(
            ours, await intake.read_batch(await body.read(request, limit, share), ours.budget)
        )
        await ours.batches.submit(new)
    return answer({"ids": [task.id for task in new]}, 201)


async def _completed(ours: Services, batch: Batch) -> list[NewTask]:
    """Every task of the batch with an id; what is wrong with any is told of all (up to MOST_FLAWS) at once."""
    asked = asyncio.get_running_loop().time()
    new: list[NewTask] = []
    refused: dict[int, UnknownKind | PayloadRefused] = {}
    for number, submission in enumerate(batch.tasks):
        if number % AT_A_TIME == 0:
            await asyncio.sleep(0)  # others have their turn
        try:
            served = await ours.kinds.check(Kind(submission.kind), submission.payload, asked=asked)
        except (UnknownKind, PayloadRefused) as error:
            refused[number] = error
        else:
            new.append(intake.complete(submission, served))
        if len(refused) >= MOST_FLAWS:
            break
    if refused:
        raise of_batch(refused)
    return new


@router.get(
    "/tasks/{task_id}",
    summary="Get a task",
    response_model=TaskOut,
    responses=documented(TaskNotFound, InvalidParameters, *_STORE),
)
async def get_task(task_id: Id, request: Request, ours: Provided) -> Response:
    """One task as it is now."""
    refuse_query(request)
    return answer(await ours.timeout(ours.tasks.get(TaskId(task_id))))


@router.get(
    "/tasks",
    summary="List tasks, newest first",
    response_model=TaskPage,
    responses={200: {"links": _NEXT_PAGE}, **documented(InvalidParameters, *_STORE, Overloaded)},
)
async def list_tasks(query: Annotated[TaskQuery, Query()], request: Request, ours: Provided) -> Response:
    """Tasks, newest first. Follow `next_cursor` until it is null.

    A page may hold fewer than `limit` tasks before the last one: a filter that fits few tasks reads 10,000 a page.
    Without a status filter, walking all pages shows each task that was there at the start exactly once.
    """
    refuse_repeated(request)
    page = await ours.timeout(_page(ours, query))
    return answer({"tasks": page.tasks, "next_cursor": to_cursor(page.after) if page.after else None})


async def _page(ours: Services, query: TaskQuery) -> Page:
    async with ours.pages.turn():
        return await ours.browse.page(
            limit=query.limit,
            after=from_cursor(query.cursor) if query.cursor else None,
            status=query.status,
            kind=Kind(query.kind) if query.kind else None,
            queue=QueueName(query.queue) if query.queue else None,
            since=query.since,
        )


@router.patch(
    "/tasks/{task_id}",
    summary="Cancel a task, or run it again",
    response_model=TaskOut,
    responses=documented(*_BODY, InvalidParameters, TaskNotFound, TransitionRefused, *_CHANGE),
    openapi_extra=_takes(StatusChange),
)
async def change_status(task_id: Id, request: Request, ours: Provided) -> Response:
    """Cancel a task, or run one again that failed or was canceled.

    `canceled_from` in the answer says which side won: `pending` never starts, `processing` is stopped.
    """
    refuse_query(request)
    with ours.budget.share() as share:
        change = await intake.read_status_change(
            await body.read(request, ours.max_body_bytes, share), ours.budget
        )
    if change.status == "canceled":
        task, _ = await ours.timeout(ours.tasks.cancel(TaskId(task_id)))
        await ours.cancels.tell(task)
    else:
        task = await ours.timeout(ours.tasks.retry(TaskId(task_id)))
        ours.publisher.retried(task)
    return answer(task)
