"""Rows beside the tasks that no version of ours writes: cursors, consumers and kinds break nothing (U1 turns)."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from tests.hostile.forging import DEEP, DEEP_FOR_US, forge
from tests.support.consuming import Consumers
from tests.support.eventually import eventually
from tests.support.stores import Stores, new

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
    """Promote would else fail at every turn, on every consumer, for ever."""
    await stores.upkeep.add_steps(["promote", "reap", "prune"])
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
