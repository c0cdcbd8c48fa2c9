"""Rows that no version of ours writes: each is set aside or runs as it can, and its neighbours never notice (U1)."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from core.ids import new_task_id
from tests.support.consuming import Consumers
from tests.support.counting import payload
from tests.support.eventually import eventually
from tests.support.stores import Stores, new

DEEP = "[" * 3000 + "]" * 3000
DEEP_FOR_US = '{"a":' * 600 + "1" + "}" * 600
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


async def forge(stores: Stores, **columns: str) -> str:
    """A pending row with these SQL expressions; its id."""
    task_id = str(new_task_id())
    values = {
        "id": f"'{task_id}'",
        "kind": "'count'",
        "queue": "'default'",
        "priority": "5",
        "max_attempts": "3",
        "timeout": "60",
        **columns,
    }
    await stores.raw.execute(
        f"INSERT INTO tasks ({', '.join(values)}) VALUES ({', '.join(values.values())})"  # noqa: S608 - our own
    )
    return task_id


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


GARBAGE_CURSORS = {
    "null": "null",
    "a number": "5",
    "a list": '[{"run_at": 1}]',
    "no decoder takes it": '{"a": 1e999}',
    "other fields": '{"at": "2026-01-01T00:00:00+00:00"}',
    "a time without a zone": '{"run_at": "2026-01-01T00:00:00", "id": "019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071"}',
    "an id that is none": '{"run_at": "2026-01-01T00:00:00+00:00", "id": 7}',
    "the beginning of time": '{"run_at": "0001-01-01T00:00:00+14:00", "id": "019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071"}',
    "the end of time": '{"run_at": "9999-12-31T23:59:59-14:00", "id": "019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071"}',
    "laps of anything": '{"default:5": null, "x": 5, "default:4": {"began": 7}}',
    "a lap with anything": json.dumps(
        {
            "default:5": {
                "run_at": "2026-01-01T00:00:00+00:00",
                "id": "019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071",
                "began": "2099-01-01T00:00:00+00:00",
                "refilling": "yes",
                "length": "many",
                "again": 1e300,
            }
        }
    ),
}


@pytest.mark.parametrize("garbage", GARBAGE_CURSORS)
async def test_a_cursor_that_is_none_begins_anew(stores: Stores, consumers: Consumers, garbage: str) -> None:
    """Promote and republish would else fail at every turn, on every consumer, for ever."""
    await stores.upkeep.add_steps(["promote", "republish", "reap", "prune"])
    await stores.raw.execute("UPDATE upkeep SET cursor = CAST($1 AS json)", GARBAGE_CURSORS[garbage])
    lost, delayed = new("count"), new("count", delay=0.2)
    await stores.submit(lost, delayed)
    await stores.sql("UPDATE tasks SET run_at = now() - interval '1 minute' WHERE id = :id", id=lost.id)

    await consumers.start(LEASE_SECONDS="2")

    both = {str(lost.id), str(delayed.id)}
    await eventually(lambda: {run["id"] for run in consumers.runs("ran")} == both, timeout=10)


async def test_no_consumers_row_breaks_health_or_the_judging(
    stores: Stores, client: httpx2.AsyncClient, consumers: Consumers
) -> None:
    columns = "id, host, pid, queues, kinds, capacity, lease_seconds, expires_at, beat_at"
    for odd in (
        "'', -1, '{}', '{}', -5, 'NaN', 'infinity', '-infinity'",
        "E'\\n', 1, ARRAY[NULL, 'b:c', ''], ARRAY[NULL], 0, 0, now() + interval '1 hour', 'infinity'",
        "'x', 1, '{{a,b},{c,d}}', '{{a},{b}}', 1, 1e300, now() + interval '1 hour', now()",
        "'x', 1, '{a}', '{count}', 1, 30, '-infinity', now()",
    ):
        await stores.raw.execute(f"INSERT INTO consumers ({columns}) VALUES (gen_random_uuid(), {odd})")  # noqa: S608
    held = await forge(stores, status="'processing'", consumer_id="gen_random_uuid()")
    lost = new("count")
    await stores.submit(lost)

    await consumers.start(LEASE_SECONDS="1")
    await eventually(
        lambda: consumers.runs("ran", id=held) and consumers.runs("ran", id=str(lost.id)), timeout=15
    )

    async def four() -> dict[str, Any] | None:
        found: dict[str, Any] = (await client.get("/health")).json()
        return found if len(found["consumers"]) == 4 else None

    health = await eventually(four)
    assert health["status"] == "healthy"
    assert set(health["queues"]) >= {"default", "a", "b", "c", "d", "b:c"}


@pytest.mark.parametrize(
    "schema",
    ["null", "[]", "5", '"x"', "false", '{"type": 5}', '{"a": 1e999}', DEEP, DEEP_FOR_US, '{"$ref": "#"}'],
)
async def test_a_kind_with_a_broken_schema_takes_every_payload_and_breaks_nothing(
    stores: Stores, client: httpx2.AsyncClient, schema: str
) -> None:
    insert = "INSERT INTO kinds VALUES ($1, CAST($2 AS json), $3, $4)"
    await stores.raw.execute(insert, "broken", schema, -3, float("nan"))
    await stores.raw.execute(insert, "whole", '{"required": ["a"]}', 7, 5.0)

    async def refused() -> bool:
        return (await client.post("/tasks", json={"kind": "unheard"})).status_code == 422

    await eventually(refused)
    response = await client.post("/tasks", json={"kind": "broken", "payload": {"b": 1}})
    assert response.status_code == 201, response.text
    task = response.json()
    assert (task["max_attempts"], task["timeout"]) == (5, 3600)
    assert (await client.post("/tasks", json={"kind": "whole", "payload": {"b": 1}})).status_code == 422
    whole = (await client.post("/tasks", json={"kind": "whole", "payload": {"a": 1}})).json()
    assert (whole["max_attempts"], whole["timeout"]) == (7, 5)


async def test_a_timeout_of_ages_leaves_its_slot(stores: Stores, consumers: Consumers) -> None:
    await consumers.start(WORKER_QUEUE_MAXSIZE="2")
    for _ in range(6):
        await forge(stores, timeout="'Infinity'", payload="'{}'")
    good = [new("count", payload=payload()) for _ in range(5)]
    await stores.submit_and_push(good)
    await eventually(lambda: len(consumers.runs("ran")) == 11, timeout=15)
