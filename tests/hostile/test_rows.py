"""Rows that no version of ours writes: each is set aside or runs as it can, and its neighbours never notice (U1)."""

from __future__ import annotations

import json

import httpx2
import pytest

from tests.hostile.forging import DEEP, DEEP_FOR_US, forge
from tests.support.consuming import Consumers
from tests.support.counting import payload
from tests.support.eventually import eventually
from tests.support.stores import Stores, new

JSON = {
    "null": "null",
    "text": '"x"',
    "a list": "[]",
    "a number beyond a double": '{"a": 1e999}',
    "a number beyond 64 bits": '{"a": 123456789012345678901234567890}',
    "a lone surrogate": '{"a": "\\ud800"}',
    "an escaped NUL": '{"a": "\\u0000"}',
    "a key twice": '{"a": 1, "a": 2}',
    "very deep": DEEP,
    "deeper than we write": DEEP_FOR_US,
    "2 MiB": json.dumps({"a": "x" * (2 << 20)}),
}
COLUMNS: dict[str, dict[str, str]] = {
    **{f"a payload: {name}": {"payload": f"'{text}'"} for name, text in JSON.items()},
    **{f"a result: {name}": {"result": f"'{text}'"} for name, text in JSON.items()},
    **{f"an error: {name}": {"error": f"'{text}'"} for name, text in JSON.items()},
    "an attempt at its end": {"attempt": "32767"},
    "a negative attempt": {"attempt": "-32768"},
    "no attempts": {"max_attempts": "0"},
    "crashes at their end": {"crashes": "32767"},
    "negative crashes": {"crashes": "-32768"},
    "a token at its end": {"fencing_token": "9223372036854775807"},
    "a negative token": {"fencing_token": "-5"},
    "no timeout": {"timeout": "0"},
    "a negative timeout": {"timeout": "-1"},
    "an endless timeout": {"timeout": "'Infinity'"},
    "a timeout that is no number": {"timeout": "'NaN'"},
    "a timeout of ages": {"timeout": "1e300"},
    "a priority above": {"priority": "42"},
    "a priority below": {"priority": "-7"},
    "an odd queue": {"queue": "E'a:b \\n%s\\u2028'"},
    "an empty queue": {"queue": "''"},
    "an odd kind": {"kind": "E' \\n;drop'"},
    "a long kind": {"kind": "repeat('k', 5000)"},
    "a message of a megabyte": {"message": "repeat('m', 1 << 20)"},
    "due since ever": {"run_at": "'-infinity'"},
    "due never": {"run_at": "'infinity'"},
    "made at no time": {"created_at": "'infinity'", "updated_at": "'-infinity'"},
    "started before it was made": {"started_at": "'-infinity'", "finished_at": "'infinity'"},
}


async def listed(client: httpx2.AsyncClient, **query: str) -> set[str]:
    """The ids on all pages."""
    found: set[str] = set()
    cursor: str | None = None
    while True:
        response = await client.get("/tasks", params={**query, **({"cursor": cursor} if cursor else {})})
        assert response.status_code == 200, response.text[:300]
        page = response.json()
        found |= {task["id"] for task in page["tasks"]}
        cursor = page["next_cursor"]
        if cursor is None:
            return found


async def test_no_row_whatever_breaks_the_api(stores: Stores, client: httpx2.AsyncClient) -> None:
    ids = {name: await forge(stores, **columns) for name, columns in COLUMNS.items()}
    for name, task_id in ids.items():
        response = await client.get(f"/tasks/{task_id}")
        assert response.status_code == 200, (name, response.text[:300])
        if "deep" not in name:
            assert response.json()["id"] == task_id, name
    deep = ids.pop("a payload: very deep"), ids.pop("a result: very deep"), ids.pop("an error: very deep")
    await stores.raw.execute("DELETE FROM tasks WHERE id = ANY (CAST($1 AS uuid[]))", list(deep))

    assert await listed(client, limit="7") == set(ids.values())
    assert await listed(client, kind="count") == set(ids.values()) - {ids["an odd kind"], ids["a long kind"]}
    health = (await client.get("/health")).json()
    assert health["status"] == "healthy"
    assert health["queues"]["default"]["depth"] == len(ids) - 2
    for name, task_id in ids.items():
        response = await client.patch(f"/tasks/{task_id}", json={"status": "canceled"})
        assert response.status_code == (422 if name == "a token at its end" else 200), (name, response.text)
    assert (await client.post("/tasks", json={"message": "x"})).status_code == 201


@pytest.mark.parametrize("redis", [True, False], ids=["with Redis", "without Redis"])
async def test_no_row_whatever_keeps_a_consumer_from_its_neighbours(
    stores: Stores, consumers: Consumers, redis: bool
) -> None:
    """More bad rows than there are slots: whoever leaked one for each would stand still."""
    environment = {} if redis else {"REDIS_URL": ""}
    good = [new("count") for _ in range(20)]
    ids: dict[str, str] = {}
    for name, columns in COLUMNS.items():
        ids[name] = await forge(stores, **columns)
        await stores.submit(*good[len(ids) :: len(COLUMNS)])
    await stores.submit(*(task for n, task in enumerate(good) if n == 0))
    consumer = await consumers.start(WORKER_QUEUE_MAXSIZE="5", LEASE_SECONDS="1", **environment)
    dead = [
        await forge(stores, status="'processing'", consumer_id="gen_random_uuid()", **columns)
        for columns in ({"crashes": "32767"}, {"attempt": "-32768"}, {"timeout": "'NaN'"}, {})
    ]
    odd = ("queue", "a priority", "kind", "a token at its end", "due never")
    to_run = [task_id for name, task_id in ids.items() if not any(word in name for word in odd)]

    async def ended() -> bool:
        wanted = [*to_run, *dead, *(task.id for task in good)]
        left = await stores.raw.fetchval(
            "SELECT count(*) FROM tasks WHERE id = ANY (CAST($1 AS uuid[])) AND status IN ('pending', 'processing')"
            " AND (timeout > 0.01 OR error IS NULL)",
            [str(task_id) for task_id in wanted],
        )
        return bool(left == 0)

    await eventually(ended, timeout=40)
    later = new("count", delay=0.3)
    await stores.submit(later)
    await eventually(lambda: consumers.runs("ran", id=str(later.id)), timeout=10)
    assert all(consumers.runs("ran", id=str(task.id)) for task in good)
    assert consumer.events("step.failed") == []
    assert (await consumer.stop())[0] == 0


async def test_a_timeout_of_ages_leaves_its_slot(stores: Stores, consumers: Consumers) -> None:
    await consumers.start(WORKER_QUEUE_MAXSIZE="2")
    for _ in range(6):
        await forge(stores, timeout="'Infinity'", payload="'{}'")
    good = [new("count", payload=payload()) for _ in range(5)]
    await stores.submit_and_push(good)
    await eventually(lambda: len(consumers.runs("ran")) == 11, timeout=15)
