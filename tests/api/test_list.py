"""GET /tasks: pages by cursor, filters, and every parameter that is none refused."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from tests.api.support import PROBLEM
from tests.support.stores import Stores


async def submit(client: httpx2.AsyncClient, n: int, **fields: Any) -> list[str]:
    tasks = [{"message": f"{number}", **fields} for number in range(n)]
    ids: list[str] = (await client.post("/tasks/batch", json={"tasks": tasks})).json()["ids"]
    return ids


async def walk(client: httpx2.AsyncClient, **params: Any) -> list[list[str]]:
    """The ids of every page."""
    pages: list[list[str]] = []
    cursor: str | None = None
    while True:
        more = {"cursor": cursor} if cursor else {}
        response = await client.get("/tasks", params={**params, **more})
        assert response.status_code == 200, response.text
        page = response.json()
        assert list(page) == ["tasks", "next_cursor"]
        pages.append([task["id"] for task in page["tasks"]])
        cursor = page["next_cursor"]
        if cursor is None:
            return pages
        assert quote(cursor, safe="") == cursor


async def test_nothing_is_an_empty_page(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/tasks")).json() == {"tasks": [], "next_cursor": None}


async def test_pages_are_newest_first_and_50_long(client: httpx2.AsyncClient) -> None:
    ids = await submit(client, 120)

    pages = await walk(client)

    assert [len(page) for page in pages] == [50, 50, 20]
    assert [task_id for page in pages for task_id in page] == ids[::-1]


async def test_a_page_that_ends_with_the_last_task_is_the_last(client: httpx2.AsyncClient) -> None:
    await submit(client, 20)

    assert [len(page) for page in await walk(client, limit=10)] == [10, 10]


@pytest.mark.parametrize("limit", [1, 500])
async def test_the_limit_is_kept(client: httpx2.AsyncClient, limit: int) -> None:
    await submit(client, 3)

    assert len((await walk(client, limit=limit))[0]) == min(limit, 3)


async def test_filters_select_and_combine(client: httpx2.AsyncClient) -> None:
    mail = await submit(client, 3, kind="mail", queue="slow")
    other = await submit(client, 4, queue="slow")
    await submit(client, 5)
    await client.patch(f"/tasks/{mail[0]}", json={"status": "canceled"})

    async def found(**params: Any) -> set[str]:
        return {task_id for page in await walk(client, limit=2, **params) for task_id in page}

    assert await found(kind="mail") == set(mail)
    assert await found(queue="slow") == {*mail, *other}
    assert await found(status="canceled") == {mail[0]}
    assert await found(status="pending", kind="mail", queue="slow") == set(mail[1:])
    assert await found(status="failed") == set()


async def test_since_combines_with_every_filter_and_with_pages(
    client: httpx2.AsyncClient, stores: Stores
) -> None:
    old = await submit(client, 3)
    await stores.raw.execute("UPDATE tasks SET created_at = created_at - interval '1 hour'")
    recent = await submit(client, 5)
    other = await submit(client, 2, kind="mail")
    since = (datetime.now(UTC) - timedelta(minutes=30)).isoformat().replace("+00:00", "Z")

    assert [len(page) for page in await walk(client, limit=3, since=since)] == [3, 3, 1]
    assert {task_id for page in await walk(client, since=since) for task_id in page} == {*recent, *other}
    assert await walk(client, since=since, kind="mail", status="pending") == [other[::-1]]
    assert await walk(client, since=since, status="failed") == [[]]
    assert await walk(client, since="1970-01-01T00:00:00+01:00") == [
        [*other[::-1], *recent[::-1], *old[::-1]]
    ]


async def test_a_task_in_a_list_looks_as_it_does_alone(client: httpx2.AsyncClient) -> None:
    [task_id] = await submit(client, 1, payload={"b": 1, "a": [None]})

    [task] = (await client.get("/tasks")).json()["tasks"]

    assert task == (await client.get(f"/tasks/{task_id}")).json()


async def test_a_walk_shows_each_task_of_its_start_once_whatever_happens_meanwhile(
    client: httpx2.AsyncClient, stores: Stores
) -> None:
    ids = await submit(client, 300)
    stop = asyncio.Event()

    async def disturb() -> None:
        while not stop.is_set():
            await submit(client, 7)
            await stores.raw.execute(
                "UPDATE tasks SET status = 'completed', finished_at = now() "
                "WHERE id IN (SELECT id FROM tasks WHERE status = 'pending' ORDER BY random() LIMIT 20)"
            )

    async with asyncio.TaskGroup() as group:
        group.create_task(disturb())
        seen = [task_id for page in await walk(client, limit=9) for task_id in page]
        stop.set()

    assert len(seen) == len(set(seen))
    assert set(ids) <= set(seen)


async def test_a_rare_filter_reads_a_bounded_number_of_rows_a_page(
    client: httpx2.AsyncClient, stores: Stores
) -> None:
    [rare] = await submit(client, 1, kind="rare")
    await submit(client, 10_000)
    await submit(client, 100)

    pages = await walk(client, kind="rare")

    assert [task_id for page in pages for task_id in page] == [rare]
    assert pages[0] == []


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("limit=1.5", "limit"),
        ("limit=", "limit"),
        (f"limit={'9' * 5000}", "limit"),
        ("status=done", "status"),
        ("status=", "status"),
        ("status=PENDING", "status"),
        ("kind=", "kind"),
        ("kind=a%00b", "kind"),
        ("kind=a%20b", "kind"),
        (f"kind={'k' * 129}", "kind"),
        ("queue=a:b", "queue"),
        ("queue=%ff", "queue"),
        ("queue=%ED%A0%80", "queue"),
        ("cursor=", "cursor"),
        ("cursor=abc", "cursor"),
        ("cursor=AAAAAAAAAAAAAAAAAAAAAA%3D%3D", "cursor"),
        ("cursor=AAAAAAAAAAAAAAAAAAAAAB", "cursor"),
        ("cursor=019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071", "cursor"),
        ("cursor=%00", "cursor"),
        ("since=", "since"),
        ("since=1h", "since"),
        ("since=2030-01-31", "since"),
        ("since=2030-02-30T00:00:00Z", "since"),
        ("since=2030-01-31T00:00:00+02:00", "since"),
        ("since=2030-01-31T00:00:00", "since"),
        ("page=2", "page"),
        ("offset=10", "offset"),
        ("limit=1&limit=2", "limit"),
        ("status=pending&status=failed", "status"),
    ],
)
async def test_a_parameter_that_is_none_of_ours_is_refused(
    shared: httpx2.AsyncClient, query: str, parameter: str
) -> None:
    response = await shared.get(f"/tasks?{query}")

    assert response.status_code == 422, response.text
    assert response.headers["content-type"] == PROBLEM
    assert [error["parameter"] for error in response.json()["errors"]] == [parameter]
    assert "99999" not in response.text


async def test_a_cursor_of_a_task_that_is_gone_still_continues(
    client: httpx2.AsyncClient, stores: Stores
) -> None:
    ids = await submit(client, 5)
    cursor = (await client.get("/tasks?limit=2")).json()["next_cursor"]
    await stores.raw.execute("DELETE FROM tasks WHERE id = CAST($1 AS uuid)", ids[3])

    page = (await client.get(f"/tasks?limit=2&cursor={cursor}")).json()

    assert [task["id"] for task in page["tasks"]] == [ids[2], ids[1]]
