"""POST /tasks: what is answered, and what it leaves in the stores."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx2

from tests.api.posting import instant, post
from tests.api.support import JSON, raw
from tests.support.eventually import eventually
from tests.support.stores import Stores, list_of

FIELDS = [
    "id",
    "message",
    "status",
    "created_at",
    "updated_at",
    "kind",
    "queue",
    "priority",
    "payload",
    "run_at",
    "attempt",
    "max_attempts",
    "crashes",
    "timeout",
    "fencing_token",
    "consumer_id",
    "started_at",
    "finished_at",
    "canceled_from",
    "result",
    "error",
]


async def test_the_smallest_submission_is_answered_with_the_whole_task(shared: httpx2.AsyncClient) -> None:
    response = await shared.post("/tasks", content=b'{"message": "Hello World"}', headers=JSON)

    task = response.json()
    assert response.status_code == 201
    assert response.headers["content-type"] == "application/json"
    assert response.headers["location"] == f"/tasks/{task['id']}"
    assert list(task) == FIELDS
    assert UUID(task["id"]).version == 7
    assert task["created_at"] == task["updated_at"] == task["run_at"]
    assert abs(instant(task["created_at"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert {
        name: task[name] for name in FIELDS if name not in {"id", "created_at", "updated_at", "run_at"}
    } == {
        "message": "Hello World",
        "status": "pending",
        "kind": "echo",
        "queue": "default",
        "priority": 5,
        "payload": {},
        "attempt": 0,
        "max_attempts": 5,
        "crashes": 0,
        "timeout": 3600,
        "fencing_token": 0,
        **dict.fromkeys(("consumer_id", "started_at", "finished_at", "canceled_from", "result", "error")),
    }


async def test_the_answer_to_a_submission_is_what_a_get_shows(shared: httpx2.AsyncClient) -> None:
    sent = {
        "message": 'h\u00e9llo "\u2028" 😀\n\t',
        "kind": "a.b:c-d_E9",
        "payload": {"z": [1.5, -0.0, 1e300, 2**64 - 1, -(2**63), None, True, {"": []}], "a": "\u00e9"},
        "queue": "q.u-e_U9",
        "priority": 9,
        "max_attempts": 100,
        "timeout": 0.001,
    }

    submitted = await shared.post("/tasks", json=sent)
    shown = await shared.get(submitted.headers["location"])

    assert submitted.json() == shown.json()
    assert submitted.content == shown.content
    assert sent.items() <= shown.json().items()
    assert list(shown.json()["payload"]) == ["z", "a"]


async def test_the_id_is_on_its_way_to_a_consumer_after_the_answer(
    served: None, client: httpx2.AsyncClient, stores: Stores
) -> None:
    due = (await post(client, priority=2)).json()
    await post(client, priority=2, delay=60)
    await post(client, priority=2, queue="unserved")

    async def listed() -> list[str]:
        return await stores.entries(list_of(priority=2))

    assert await eventually(listed) == [due["id"]]


async def test_a_row_that_is_due_in_a_moment_is_pushed_by_the_api_itself(
    served: None, client: httpx2.AsyncClient, stores: Stores
) -> None:
    soon, _ = [(await post(client, delay=delay)).json() for delay in (0.5, 60)]
    assert await eventually(stores.entries) == [soon["id"]]
    assert await stores.raw.fetchval(
        "SELECT clock_timestamp() >= run_at FROM tasks WHERE id = $1", soon["id"]
    )


async def _posted(client: httpx2.AsyncClient, message: str) -> tuple[int, str]:
    """The status of an answer and its text, at the least cost to the loop: the API shares it, and bounds its waits."""
    body = json.dumps({"message": message}).encode()
    head = (
        b"POST /tasks HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n"
    )
    answer = (await raw(client, head % len(body) + body)).decode()
    return int(answer.split()[1]), answer.partition("\r\n\r\n")[2]


async def test_500_submissions_at_once_of_which_postgresql_refuses_one(
    client: httpx2.AsyncClient, stores: Stores
) -> None:
    await stores.raw.execute("ALTER TABLE tasks ADD CONSTRAINT no_unlucky CHECK (message <> 'unlucky')")
    try:
        messages = [str(n) for n in range(500)]
        messages[250] = "unlucky"
        at_once = asyncio.Semaphore(20)

        async def posted(message: str) -> tuple[int, str]:
            async with at_once:
                return await _posted(client, message)

        async with asyncio.timeout(60):
            answers = await asyncio.gather(*map(posted, messages))
    finally:
        await stores.raw.execute("ALTER TABLE tasks DROP CONSTRAINT no_unlucky")

    assert [status for status, _ in answers] == [201] * 250 + [422] + [201] * 249
    assert json.loads(answers[250][1])["type"].endswith(":row-refused")
    rows = await stores.raw.fetch("SELECT message FROM tasks")
    assert sorted(row["message"] for row in rows) == sorted(set(messages) - {"unlucky"})
