"""Lists of what was created since a moment: by the database's clock, while ids come from others."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sluice.core.ids import new_task_id
from sluice.core.task import NewTask, Status, TaskId
from sluice.db.browse import WINDOW, Page
from tests.support.stores import ECHO, Stores, new

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


async def _walk(stores: Stores, *, limit: int, **wanted: Any) -> list[Page]:
    """Every page, first to last."""
    pages = [await stores.browse.page(limit=limit, **wanted)]
    while pages[-1].after is not None:
        pages.append(await stores.browse.page(limit=limit, after=pages[-1].after, **wanted))
    return pages


def _ids(pages: Sequence[Page]) -> list[TaskId]:
    return [task.id for page in pages for task in page.tasks]


async def _created(stores: Stores, at: datetime, *tasks: NewTask) -> None:
    await stores.submit(*tasks)
    ids = [task.id for task in tasks]
    await stores.raw.execute("UPDATE tasks SET created_at = $2 WHERE id = ANY($1::uuid[])", ids, at)


@pytest.mark.parametrize("wanted", [{}, {"kind": ECHO}, {"status": Status.PENDING}])
async def test_since_shows_what_was_created_then_or_later_by_the_clock_of_the_database(
    stores: Stores, wanted: dict[str, Any]
) -> None:
    """Ids and rows are made by two clocks: neither order is taken for the other."""
    since = datetime.now(UTC)
    before, at, after = [new(), new()], new(), [new() for _ in range(4)]
    await _created(stores, since, at)
    await _created(stores, since + timedelta(hours=1), *after)
    await _created(stores, since - timedelta(microseconds=1), *before)
    for limit in (1, 2, 50):
        walked = _ids(await _walk(stores, limit=limit, since=since, **wanted))
        assert walked == [task.id for task in reversed([at, *after])]


async def test_an_id_made_a_little_before_its_row_is_not_missed(stores: Stores) -> None:
    task = new()
    created = datetime.now(UTC) + timedelta(seconds=30)
    await _created(stores, created, task)
    assert _ids(await _walk(stores, limit=5, since=created)) == [task.id]
    assert _ids(await _walk(stores, limit=5, since=created + timedelta(microseconds=1))) == []


async def test_a_wrong_clock_of_ids_lets_no_page_of_since_read_more_than_its_window(stores: Stores) -> None:
    since = datetime.now(UTC)
    fitting = new()
    await _created(stores, since, fitting)
    await stores.raw.execute(
        "INSERT INTO tasks (id, created_at, kind, queue, priority, max_attempts, timeout) "
        "SELECT id, $2, 'echo', 'default', 5, 5, 1 FROM unnest($1::uuid[]) AS id",
        [new_task_id() for _ in range(WINDOW + 10)],
        LONG_AGO,
    )
    pages = await _walk(stores, limit=50, since=since)
    assert [len(page.tasks) for page in pages] == [0, 1]


@pytest.mark.parametrize("since", [datetime.min, datetime(1970, 1, 1), LONG_AGO, datetime.max])  # noqa: DTZ001,DTZ901
async def test_every_instant_may_be_asked_for(stores: Stores, since: datetime) -> None:
    await stores.submit(new())
    pages = await _walk(stores, limit=5, since=since.replace(tzinfo=UTC))
    assert len(_ids(pages)) == (since.year < 9999)
