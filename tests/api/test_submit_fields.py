"""POST /tasks: what its fields may hold."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from tests.api.posting import instant, post
from tests.api.support import JSON


async def test_run_at_and_delay_put_the_run_off(shared: httpx2.AsyncClient) -> None:
    delayed = (await post(shared, delay=1.5)).json()
    later = (await post(shared, run_at="2030-01-31T10:30:00+01:00")).json() if _before_2030() else None
    past = (await post(shared, run_at="2020-01-01T00:00:00Z")).json()

    assert instant(delayed["run_at"]) - instant(delayed["created_at"]) == timedelta(seconds=1.5)
    assert later is None or later["run_at"] == "2030-01-31T09:30:00Z"
    assert past["run_at"] == past["created_at"]


def _before_2030() -> bool:
    return datetime.now(UTC) < datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "run_at", ["0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z", "1969-07-20T20:17:40Z"]
)
async def test_any_past_means_now(shared: httpx2.AsyncClient, run_at: str) -> None:
    response = await post(shared, run_at=run_at)

    assert response.status_code == 201
    assert response.json()["run_at"] == response.json()["created_at"]


async def test_ten_years_ahead_is_the_most(shared: httpx2.AsyncClient) -> None:
    nearly = (datetime.now(UTC) + timedelta(days=3652)).isoformat()

    assert (await post(shared, run_at=nearly)).status_code == 201
    assert (await post(shared, delay=3652 * 86_400)).status_code == 201
    assert (await post(shared, delay=3654 * 86_400)).status_code == 422


async def test_a_whole_number_may_be_written_as_json_allows(shared: httpx2.AsyncClient) -> None:
    body = b'{"message": "x", "priority": 3.0, "max_attempts": 1e1, "timeout": 30, "delay": 0}'

    task = (await shared.post("/tasks", content=body, headers=JSON)).json()

    assert (task["priority"], task["max_attempts"], task["timeout"]) == (3, 10, 30)


async def test_a_message_may_be_left_out_when_a_kind_is_given(shared: httpx2.AsyncClient) -> None:
    response = await shared.post("/tasks", json={"kind": "echo"})

    assert response.status_code == 201
    assert response.json()["message"] is None


@pytest.mark.parametrize(
    "message",
    ["", "x" * 65_536, "é" * 32_768, "😀" * 16_384],
    ids=["empty", "ascii", "two bytes", "four bytes"],
)
async def test_a_message_may_have_64_kib(shared: httpx2.AsyncClient, message: str) -> None:
    response = await post(shared, message=message)

    assert response.status_code == 201
    assert response.json()["message"] == message


@pytest.mark.parametrize("depth", [1, 64])
async def test_a_payload_may_be_64_deep(shared: httpx2.AsyncClient, depth: int) -> None:
    payload = '{"a":' * depth + "1" + "}" * depth

    response = await shared.post(
        "/tasks", content=f'{{"message": "x", "payload": {payload}}}'.encode(), headers=JSON
    )

    assert response.status_code == 201
    assert response.json()["payload"] == json.loads(payload)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
    ],
)
async def test_json_may_be_called_so_in_every_usual_way(
    shared: httpx2.AsyncClient, content_type: str
) -> None:
    response = await shared.post(
        "/tasks", content=b'{"message": "x"}', headers={"Content-Type": content_type}
    )

    assert response.status_code == 201
