"""GET and PATCH /tasks/{id}: one task, canceled or run again."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest

from sluice.core.ids import new_consumer_id
from sluice.core.task import Claim, Kind, Status, TaskId
from tests.api.support import JSON, PROBLEM
from tests.support.eventually import eventually
from tests.support.stores import DEFAULT_LIST, Stores

CANCEL, RETRY = {"status": "canceled"}, {"status": "pending"}


async def submit(client: httpx2.AsyncClient) -> str:
    task_id: str = (await client.post("/tasks", json={"message": "x"})).json()["id"]
    return task_id


async def claim(stores: Stores, task_id: str) -> Claim:
    [claimed] = await stores.claims.claim(
        [TaskId(UUID(task_id))], consumer=new_consumer_id(), kinds=[Kind("echo")]
    )
    return claimed


async def force(stores: Stores, task_id: str, status: str) -> None:
    """Put a row into a terminal status as a consumer would leave it."""
    await stores.raw.execute(
        "UPDATE tasks SET status = $2, attempt = 5, crashes = 1, finished_at = now(), started_at = now(), "
        'error = \'{"type": "E", "message": "m", "at": "2026-11-22T00:00:00Z"}\' '
        "WHERE id = CAST($1 AS uuid)",
        task_id,
        status,
    )


async def test_a_pending_task_is_canceled_and_never_starts(
    client: httpx2.AsyncClient, stores: Stores
) -> None:
    task_id = await submit(client)

    response = await client.patch(f"/tasks/{task_id}", json=CANCEL)

    task = response.json()
    assert response.status_code == 200
    assert (task["status"], task["canceled_from"], task["fencing_token"]) == ("canceled", "pending", 1)
    assert task["finished_at"] == task["updated_at"]
    assert (
        await stores.claims.claim([TaskId(UUID(task_id))], consumer=new_consumer_id(), kinds=[Kind("echo")])
        == []
    )


async def test_a_running_task_is_canceled_and_its_run_is_told(
    client: httpx2.AsyncClient, stores: Stores
) -> None:
    task_id = await submit(client)
    run = await claim(stores, task_id)

    async def listen() -> Any:
        async for heard in stores.signals.listen():
            if heard is not None:
                return heard
        raise AssertionError

    async def subscribed() -> bool:
        return bool((await stores.redis("PUBSUB", "NUMSUB", stores.keys.cancels))[1])

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        listening = group.create_task(listen())
        await eventually(subscribed)
        response = await client.patch(f"/tasks/{task_id}", json=CANCEL)

    assert response.json()["canceled_from"] == "processing"
    assert listening.result() == run.key


async def test_canceling_twice_changes_nothing(client: httpx2.AsyncClient) -> None:
    task_id = await submit(client)

    first = await client.patch(f"/tasks/{task_id}", json=CANCEL)
    second = await client.patch(f"/tasks/{task_id}", json=CANCEL)

    assert second.status_code == 200
    assert first.content == second.content


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED])
async def test_what_has_ended_cannot_be_canceled(
    client: httpx2.AsyncClient, stores: Stores, status: Status
) -> None:
    task_id = await submit(client)
    await force(stores, task_id, status)

    response = await client.patch(f"/tasks/{task_id}", json=CANCEL)

    assert response.status_code == 409
    assert response.headers["content-type"] == PROBLEM
    assert status in response.json()["detail"]


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELED])
async def test_a_failed_or_canceled_task_is_run_again_with_a_fresh_budget(
    served: None, client: httpx2.AsyncClient, stores: Stores, status: Status
) -> None:
    task_id = await submit(client)
    await eventually(stores.entries)
    await stores.redis("UNLINK", stores.keys.ready(DEFAULT_LIST))
    await force(stores, task_id, status)

    response = await client.patch(f"/tasks/{task_id}", json=RETRY)

    task = response.json()
    assert response.status_code == 200
    assert (task["status"], task["attempt"], task["crashes"]) == ("pending", 0, 0)
    assert [task[name] for name in ("error", "result", "started_at", "finished_at", "canceled_from")] == [
        None
    ] * 5

    async def listed() -> list[str]:
        return await stores.entries()

    assert await eventually(listed) == [task_id]


@pytest.mark.parametrize("status", [Status.PENDING, Status.PROCESSING, Status.COMPLETED])
async def test_others_cannot_be_run_again(client: httpx2.AsyncClient, stores: Stores, status: Status) -> None:
    task_id = await submit(client)
    if status is Status.PROCESSING:
        await claim(stores, task_id)
    elif status is Status.COMPLETED:
        await force(stores, task_id, status)

    response = await client.patch(f"/tasks/{task_id}", json=RETRY)

    assert response.status_code == 409
    assert status in response.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"status": "completed"},
        {"status": "processing"},
        {"status": "failed"},
        {"status": "CANCELED"},
        {"status": None},
        {"status": 1},
        {"status": ["canceled"]},
        {"status": "canceled", "why": "x"},
        {"message": "x"},
        [],
    ],
    ids=str,
)
async def test_any_other_change_is_refused(shared: httpx2.AsyncClient, body: Any) -> None:
    task_id = await submit(shared)

    response = await shared.patch(f"/tasks/{task_id}", json=body)

    assert response.status_code == 422
    assert response.headers["content-type"] == PROBLEM
    assert (await shared.get(f"/tasks/{task_id}")).json()["status"] == "pending"


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"", JSON, 400),
        (b"{", JSON, 400),
        (b'{"status": "canceled"}', {}, 415),
        (b'{"status": "canceled"}', {"Content-Type": "text/plain"}, 415),
        (b'{"status": "canceled"}', {"Content-Type": "application/json; charset=latin-1"}, 415),
        (b'{"status": "canceled", "status": "pending"}', JSON, 422),
        (b"x" * (1 << 21), JSON, 413),
    ],
)
async def test_a_change_is_read_as_strictly_as_a_submission(
    shared: httpx2.AsyncClient, content: bytes, headers: dict[str, str], status: int
) -> None:
    task_id = await submit(shared)

    response = await shared.patch(f"/tasks/{task_id}", content=content, headers=headers)

    assert response.status_code == status
    assert response.headers["content-type"] == PROBLEM


@pytest.mark.parametrize("method", ["GET", "PATCH"])
async def test_a_task_that_is_not_there_gets_404(shared: httpx2.AsyncClient, method: str) -> None:
    body = CANCEL if method == "PATCH" else None

    response = await shared.request(method, f"/tasks/{uuid4()}", json=body)

    assert response.status_code == 404
    assert response.headers["content-type"] == PROBLEM
    assert response.json()["type"].endswith(":task-not-found")


@pytest.mark.parametrize("method", ["GET", "PATCH"])
@pytest.mark.parametrize(
    "task_id",
    ["1", "019ab3c4", "%00", "%ff", "ⅷ", "019ab3c4-5d6e-7f80-9a1b-2c3d4e5f607g", "x" * 5000],
)
async def test_an_id_that_is_no_uuid_gets_422(shared: httpx2.AsyncClient, method: str, task_id: str) -> None:
    body = CANCEL if method == "PATCH" else None

    response = await shared.request(method, f"/tasks/{task_id}", json=body)

    assert response.status_code == 422
    assert response.headers["content-type"] == PROBLEM
    assert [error["parameter"] for error in response.json()["errors"]] == ["task_id"]
    assert len(response.content) < 1000


async def test_a_hundred_cancels_of_one_task_have_one_effect(client: httpx2.AsyncClient) -> None:
    task_id = await submit(client)

    answers = await asyncio.gather(*(client.patch(f"/tasks/{task_id}", json=CANCEL) for _ in range(100)))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["fencing_token"] == 1


@pytest.mark.parametrize("change", [CANCEL, RETRY], ids=["cancel", "retry"])
async def test_a_row_that_somebody_holds_locked_is_a_503_in_words_and_in_time(
    client: httpx2.AsyncClient, stores: Stores, change: dict[str, str]
) -> None:
    task_id = await submit(client)
    if change is RETRY:
        await force(stores, task_id, "failed")
    async with stores.raw.transaction():
        await stores.raw.execute("SELECT FROM tasks WHERE id = CAST($1 AS uuid) FOR UPDATE", task_id)
        async with asyncio.timeout(2):
            response = await client.patch(f"/tasks/{task_id}", json=change)
        assert (response.status_code, response.headers["content-type"]) == (503, PROBLEM)
        assert response.json()["type"] == "urn:sluice:problem:held-up"
        assert "somebody holds what it needs locked" in response.json()["detail"]
        assert response.headers["retry-after"]
    assert (await client.patch(f"/tasks/{task_id}", json=change)).status_code == 200
