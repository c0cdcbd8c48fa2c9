"""Reading for people and for the API: pages, counts, kinds, consumers. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import Select, case, func, select, text

from sluice.core.ids import lowest_task_id, plain
from sluice.core.task import (
    MAX_ATTEMPTS,
    MAX_TIMEOUT_SECONDS,
    MIN_TIMEOUT_SECONDS,
    Kind,
    QueueName,
    Status,
    Task,
    TaskId,
)
from sluice.db.fetch import fetch
from sluice.db.models import TaskRow
from sluice.db.rows import COLUMNS, to_task
from sluice.db.statements import statement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncEngine

    from sluice.core.task import ConsumerId

    Columns = Mapping[str, Any]

DEPTH_CAP = 10_000
KINDS_SHOWN, KINDS_SHOWN_IN_ALL = 100, 2000
"""Of one consumer and of all: a kind's name may have 128 characters, and they are read at each look."""
WINDOW = 10_000
"""Rows that one page of a filtered list may read."""
MOST_APART = timedelta(minutes=1)
"""How much earlier a task's id may have been made, by another clock, than its row: a submission takes 1.5 s at most."""
PAGE_WEIGHT = 8 << 20
"""About how many bytes one page may hold: a result may be a megabyte, and a page is made in memory."""
_UNPACKED = 40
"""How much longer a compressed value is taken to be: more than JSON usually shrinks, less than a row of x does."""


@dataclass(frozen=True, slots=True)
class Page:
    """Tasks, newest first. `after` continues behind the last row that was looked at; None: there are no more."""

    tasks: list[Task]
    after: TaskId | None


@dataclass(frozen=True, slots=True)
class Served:
    """A kind as consumers registered it. `schema`: JSON schema of the payload, None when any object fits."""

    kind: Kind
    schema: dict[str, Any] | None
    max_attempts: int | None
    timeout: float | None


@dataclass(frozen=True, slots=True)
class LiveConsumer:
    """A consumer whose lease is live. `unnamed_kinds`: how many more than `kinds` it serves."""

    id: ConsumerId
    host: str
    pid: int
    queues: list[str]
    kinds: list[str]
    unnamed_kinds: int
    running: int
    capacity: int
    beat_at: datetime


@dataclass(frozen=True, slots=True)
class Depth:
    """How many tasks waited in a queue, and when."""

    depth: int
    counted_at: datetime


class Browse:
    """Reads in their own transactions: pages on connections of `listing`, all that is small on those of `probing`.

    Every method raises StoreUnavailable when PostgreSQL does not answer.
    """

    def __init__(self, probing: AsyncEngine, listing: AsyncEngine) -> None:
        self._probing = probing
        self._listing = listing

    async def page(
        self,
        *,
        limit: int,
        after: TaskId | None = None,
        status: Status | None = None,
        kind: Kind | None = None,
        queue: QueueName | None = None,
        since: datetime | None = None,
    ) -> Page:
        """Up to `limit` tasks older than `after`, by id: ids never change, so a walk shows each row once.

        A filter reads at most WINDOW rows, and a page ends behind the row that makes it heavier than PAGE_WEIGHT: so
        it may be short while `after` is not None. One round trip, or two with a filter; a page that `since`
        (created_at) alone has cut short costs three. Of ids that were made more than MOST_APART before `since` none is
        looked at.
        """
        wanted = {
            name: value
            for name, value in (("status", status), ("kind", kind), ("queue", queue))
            if value is not None
        }
        newest = select(*COLUMNS).order_by(_ID.desc())
        if after is not None:
            newest = newest.where(after > _ID)
        if wanted == {"status": Status.FAILED}:
            newest = newest.where(text("status = 'failed'"))  # as ix_tasks_failed says it
            wanted = {}
        if since is not None:
            newest = newest.where(lowest_task_id(since, earlier=MOST_APART) <= _ID)
        elif not wanted:
            return await self._page(newest.limit(limit + 1), limit)
        if since is not None and not wanted:
            # Nearly all of the rows fit: as a rule a page is full long before a window ends.
            page = await self._page(_fitting(newest.limit(WINDOW), wanted, since).limit(limit + 1), limit)
            if page.after is not None:
                return page
        # Where the window ends is settled first, as an id: rows that come or go before the second look move no border.
        ends = await self._fetch(newest.with_only_columns(_ID).offset(WINDOW - 1).limit(1))
        # OFFSET keeps the filter out of the subquery: else a partial index on the status would be read from end to end.
        looked = (newest.where(ends[0]["id"] <= _ID) if ends else newest).offset(0)
        page = await self._page(_fitting(looked, wanted, since).limit(limit + 1), limit)
        if page.after is None and ends:
            return Page(page.tasks, TaskId(plain(ends[0]["id"])))
        return page

    async def kinds(self) -> dict[Kind, Served]:
        """Every kind that some consumer has served. What could not be of a consumer's writing counts as not said."""
        return {
            row["kind"]: Served(
                row["kind"],
                _schema(row["payload_schema"]),
                row["max_attempts"] if row["max_attempts"] in _ATTEMPTS else None,
                row["timeout"]
                if MIN_TIMEOUT_SECONDS <= (row["timeout"] or 0) <= MAX_TIMEOUT_SECONDS
                else None,
            )
            for row in await self._rows("kinds")
        }

    async def consumers(self) -> list[LiveConsumer]:
        """The consumers whose lease is live, oldest first."""
        rows = await self._rows("consumers", most=KINDS_SHOWN, in_all=KINDS_SHOWN_IN_ALL)
        return [LiveConsumer(**{**row, "id": plain(row["id"])}) for row in rows]

    async def queues(self, after: str, n: int) -> list[QueueName]:
        """Up to `n` queues that hold a pending task, in order, behind `after`."""
        return [row["queue"] for row in await self._rows("queues", after=after, n=n)]

    async def waiting_kinds(
        self, queues: Sequence[QueueName], afters: Sequence[str], n: int
    ) -> list[tuple[QueueName, Kind]]:
        """Up to `n` kinds of pending tasks in these queues, of each from behind its kind in `afters`, in order."""
        rows = await self._rows("waiting_kinds", queues=list(queues), afters=list(afters), n=n)
        return [(row["queue"], row["kind"]) for row in rows]

    async def depths(self, queues: Sequence[QueueName]) -> dict[QueueName, Depth]:
        """How many tasks wait in each of these queues; counted to DEPTH_CAP."""
        rows = await self._rows("depths", queues=list(queues), cap=DEPTH_CAP)
        return {row["name"]: Depth(row["depth"], row["counted_at"]) for row in rows}

    async def _page(self, rows: Select[Any], limit: int) -> Page:
        """What `rows` (newest first, up to one more than `limit`) make, cut where it gets too heavy.

        Weighed by what is stored, so that PostgreSQL unpacks no value that is not shown.
        """
        found = rows.subquery("found")
        before = func.sum(_weight(found.c)).over(order_by=found.c.id.desc(), rows=(None, -1))
        weighed = select(found, before.label("before"), func.count().over().label("in_all")).subquery(
            "weighed"
        )
        fitting = select(weighed).where(func.coalesce(weighed.c.before, 0) < PAGE_WEIGHT)
        shown = await self._fetch(fitting.order_by(weighed.c.id.desc()))
        tasks = [to_task({name: row[name] for name in _NAMES}) for row in shown[:limit]]
        return Page(tasks, tasks[-1].id if tasks and shown[0]["in_all"] > len(tasks) else None)

    async def _fetch(self, query: Select[Any]) -> Sequence[Columns]:
        return await fetch(self._listing, query)

    async def _rows(self, name: str, **values: Any) -> Sequence[Columns]:
        return await fetch(self._probing, statement(name), **values)


def _fitting(looked: Select[Any], wanted: Mapping[str, str], since: datetime | None) -> Select[Any]:
    """Those of the rows `looked` at that are wanted, newest first."""
    rows = looked.subquery("looked")
    fitting = select(rows).where(*(rows.c[name] == str(value) for name, value in wanted.items()))
    if since is not None:
        fitting = fitting.where(rows.c.created_at >= since)
    return fitting.order_by(rows.c.id.desc())


def _schema(text: str | None) -> Any:  # noqa: ANN401 - any JSON value
    """The schema; None when it is not even JSON to our decoder: payloads then pass, and the handler judges."""
    try:
        return None if text is None else orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


_ATTEMPTS = range(1, MAX_ATTEMPTS + 1)
_NAMES = [column.name for column in COLUMNS]
_ID = TaskRow.id


def _weight(columns: Any) -> Any:  # noqa: ANN401 - expressions
    """About how many bytes a row's long values have."""
    weights = [
        func.coalesce(
            func.pg_column_size(value)
            * case((func.pg_column_compression(value).is_(None), 1), else_=_UNPACKED),
            0,
        )
        for value in (columns[name] for name in ("payload", "result", "message", "error"))
    ]
    return sum(weights[1:], weights[0])
