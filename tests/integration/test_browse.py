"""Pages, counts and consumers, as people see them while everything moves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Select

from sluice.core.ids import new_consumer_id
from sluice.core.outcome import Completion, Failing, Failure
from sluice.core.task import Kind, QueueName, Status, TaskId
from sluice.db.browse import WINDOW, Browse, Page
from tests.integration.many_rows import fill
from tests.support.stores import ECHO, Stores, new

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


async def _walk(stores: Stores, *, limit: int, browse: Browse | None = None, **wanted: Any) -> list[Page]:
    """Every page, first to last."""
    pages: list[Page] = []
    after: TaskId | None = None
    while not pages or after is not None:
        pages.append(await (browse or stores.browse).page(limit=limit, after=after, **wanted))
        assert len(pages[-1].tasks) <= limit
        after = pages[-1].after
    return pages


def _ids(pages: Sequence[Page]) -> list[TaskId]:
    return [task.id for page in pages for task in page.tasks]


async def test_pages_show_the_newest_first_and_end(stores: Stores) -> None:
    tasks = [new() for _ in range(7)]
    await stores.submit(*tasks)
    pages = await _walk(stores, limit=3)
    assert [len(page.tasks) for page in pages] == [3, 3, 1]
    assert _ids(pages) == [task.id for task in reversed(tasks)]
    assert (await stores.browse.page(limit=7)).after is None, "a page that is exactly full is the last one"
    assert pages[0].tasks[0] == await stores.get(tasks[-1].id)
    assert await stores.browse.page(limit=5, after=tasks[0].id) == Page([], None)


async def test_an_empty_table_is_one_empty_page(stores: Stores) -> None:
    assert await stores.browse.page(limit=5) == Page([], None)
    assert await stores.browse.page(limit=5, status=Status.FAILED, kind=ECHO) == Page([], None)


async def test_a_walk_while_tasks_arrive_and_finish_shows_each_earlier_one_once(stores: Stores) -> None:
    there = [new() for _ in range(300)]
    await stores.submit(*there)
    walking = True

    async def arrive() -> None:
        while walking:
            claims = await stores.claimed(*(new() for _ in range(5)))
            await stores.claims.finish([Completion(claim.id, claim.token, None) for claim in claims])

    async def move() -> None:
        claims = await stores.claims.claim(
            [task.id for task in there], consumer=new_consumer_id(), kinds=[ECHO]
        )
        for claim in claims:
            await stores.claims.finish([Completion(claim.id, claim.token, None)])

    async with asyncio.TaskGroup() as group:
        group.create_task(arrive())
        group.create_task(move())
        walked = _ids(await _walk(stores, limit=11))
        walking = False
    earlier = {task.id for task in there}
    assert [task_id for task_id in walked if task_id in earlier] == [task.id for task in reversed(there)]
    assert len(walked) == len(set(walked))


@pytest.mark.parametrize("limit", [1, 4, 100])
async def test_filters_apply_together(stores: Stores, limit: int) -> None:
    mine = [new("mail", queue=QueueName("q")) for _ in range(6)]
    await stores.submit(*(new("mail"), *mine, new(queue=QueueName("q")), new()))
    for task in mine[:2]:
        await stores.tasks.cancel(task.id)
    wanted: dict[str, Any] = {"kind": Kind("mail"), "queue": QueueName("q")}
    assert _ids(await _walk(stores, limit=limit, **wanted)) == [task.id for task in reversed(mine)]
    canceled = await _walk(stores, limit=limit, status=Status.CANCELED, **wanted)
    assert _ids(canceled) == [mine[1].id, mine[0].id]


async def test_a_rare_filter_reads_a_window_a_page_and_finds_everything(stores: Stores) -> None:
    rare = []
    for between in (WINDOW - 1, WINDOW, 0):
        rare.append(new("rare"))
        await stores.submit(rare[-1])
        await fill(stores, between)
    pages = await _walk(stores, limit=50, kind=Kind("rare"))
    assert _ids(pages) == [task.id for task in reversed(rare)]
    assert [len(page.tasks) for page in pages] == [1, 1, 1]


async def test_failed_tasks_are_found_in_an_index_of_their_own_at_any_distance(stores: Stores) -> None:
    failed = await stores.claimed(*(new() for _ in range(3)))
    await stores.claims.fail([Failing(claim.id, claim.token, Failure("E", "m"), None) for claim in failed])
    await fill(stores, WINDOW + 1)
    pages = await _walk(stores, limit=2, status=Status.FAILED)
    assert [len(page.tasks) for page in pages] == [2, 1], "no empty page on the way to them"
    assert _ids(pages) == [claim.id for claim in reversed(failed)]


async def test_rows_that_arrive_while_a_window_is_read_shift_nothing(stores: Stores) -> None:
    """The end of a window and its rows are one look, or a row is shown twice."""
    rare = [new("rare") for _ in range(3)]
    await stores.submit(*rare)
    await fill(stores, WINDOW - 2)
    browse = _Interrupted(stores, lambda: fill(stores, 5))
    walked = _ids(await _walk(stores, limit=50, browse=browse, kind=Kind("rare")))
    assert walked == [task.id for task in reversed(rare)]


async def test_rows_that_are_pruned_while_a_window_is_read_hide_nothing(stores: Stores) -> None:
    rare = [new("rare") for _ in range(3)]
    await stores.submit(*rare)
    await fill(stores, WINDOW)

    async def prune() -> None:
        await stores.raw.execute(
            "DELETE FROM tasks WHERE id IN (SELECT id FROM tasks WHERE kind = 'echo' LIMIT 5)"
        )

    walked = _ids(await _walk(stores, limit=50, browse=_Interrupted(stores, prune), kind=Kind("rare")))
    assert walked == [task.id for task in reversed(rare)]


class _Interrupted(Browse):
    """Something else happens between any two of its statements."""

    def __init__(self, stores: Stores, meanwhile: Any) -> None:
        super().__init__(stores.engine, stores.engine)
        self._meanwhile = meanwhile

    async def _fetch(self, query: Select[Any]) -> Sequence[Mapping[str, Any]]:
        rows = await super()._fetch(query)
        await self._meanwhile()
        return rows
