"""sluice.db.claims.Claims on SimStore's tables, statement by statement. Adds no rule to those of db/sql."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from sluice.core.errors import RowRefused
from sluice.core.outcome import Completion, Failing, Return
from sluice.core.task import Claim, ConsumerId, FencingToken, Kind, QueueName, RunKey, TaskId
from sluice.db.claims import NO_HINTS, SLACK, Batch, Hints, Lane, Pending, Written
from sluice.db.rows import Place
from tests.simulation.store_tables import Tables, TaskRow, by_place, to_claim

_WINDOW = 100
W = TypeVar("W", Completion, Failing, Return)


class SimClaims:
    """See db.claims.Claims."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def claim(
        self, ids: Sequence[TaskId], *, consumer: ConsumerId, kinds: Sequence[Kind], suspects: bool = True
    ) -> list[Claim]:
        tables, now = self._tables, self._tables.now()
        found = [
            row
            for task_id in sorted(set(ids))
            if (row := tables.tasks.get(task_id)) is not None
            and not tables.locked(task_id)
            and (row.status == "pending" or tables.broken.claim_any_status)
            and (row.run_at <= now or tables.broken.claim_early)
            and row.kind in kinds
        ]
        waiting = sorted(
            (row for row in found if row.suspected), key=lambda row: (-row.priority, by_place(row))
        )
        first = waiting[:1] if suspects else []
        return [self._start(row, consumer, now) for row in found if not row.suspected or row in first]

    async def lanes(
        self, queues: Sequence[QueueName], kinds: Sequence[Kind], n: int, *, since: str = ""
    ) -> list[tuple[Lane, datetime]]:
        now = self._tables.now()
        first: dict[Lane, datetime] = {}
        due = [row for row in self._tables.tasks.values() if row.status == "pending" and row.run_at <= now]
        if self._tables.broken.lanes_behind_a_limit:
            due = sorted(due, key=lambda row: (row.queue, -row.priority, by_place(row)))[:_WINDOW]
        for row in due:
            if row.kind in kinds:
                first[row.lane] = min(row.run_at, first.get(row.lane, row.run_at))
        order = {queue: at for at, queue in enumerate(queues)}
        of_ours = [each for each in first if each.queue in order]
        skipped = {each for each in of_ours if order[each.queue] == 0 and each.kind < since}
        served = sorted(
            of_ours, key=lambda each: (each in skipped, order[each.queue], each.kind, -each.priority)
        )
        return [(each, first[each]) for each in served[:n]]

    async def claim_ready(
        self,
        lanes: Mapping[Lane, Place],
        n: int,
        *,
        consumer: ConsumerId,
        listed: Hints = NO_HINTS,
        skip: int = 0,
        suspect: int = 1,
    ) -> Batch:
        tables, now = self._tables, self._tables.now()
        hints = [
            row.run_at
            for each in listed.ids
            if (row := tables.tasks.get(each)) and (row.finished_at is None or row.finished_at > now - SLACK)
        ]
        young = min(now, max(hints) - SLACK) if hints else now
        due = {lane: self._due(lane, now) for lane in lanes}
        waiting = [row for rows in due.values() for row in rows if row.suspected]
        one = waiting[suspect - 1 : suspect] if suspect else []
        found: list[TaskRow] = []
        for lane, begin in lanes.items():
            until = young if lane in listed.lanes else now
            innocent = [row for row in due[lane] if not row.suspected and row.run_at <= until]
            found += [row for row in one if row.lane == lane]
            found += [row for row in innocent if by_place(row) > begin][: n + skip]
        ends: dict[Lane, Place] = {}
        taken = {row.id: row for row in found[skip : skip + n]}
        for row in taken.values():
            if row.suspected:
                continue
            place = Place(row.run_at, row.id)
            ends[row.lane] = max(place, ends.get(row.lane, place))
        return Batch([self._start(row, consumer, now) for row in taken.values()], ends)

    async def finish(self, done: Sequence[Completion]) -> Written:
        matching = await self.to_finish(done)
        now = self._tables.now()
        changes = [completed(row, write, self._tables, now) for write, row in matching]
        for change in changes:
            change()
        return Written(len(changes))

    async def fail(self, lost: Sequence[Failing]) -> Written:
        now = self._tables.now()
        matching = await self._matching(lost, by_id=self._tables.broken.fail_by_id)
        pending: list[Pending] = []
        for write, row in matching:
            row.fencing_token += 1
            row.updated_at = now
            row.error = _error(write.failure.type, write.failure.message, now)
            if write.delay is None:
                row.status, row.finished_at = "failed", now
            else:
                row.status, row.run_at = "pending", now + write.delay
                row.consumer_id = row.finished_at = None
                pending.append(_pending(row, now))
        return Written(len(matching), tuple(pending))

    async def give_back(self, back: Sequence[Return]) -> Written:
        broken, now = self._tables.broken, self._tables.now()
        matching = await self._matching(back, by_id=broken.give_back_by_id)
        for write, row in matching:
            row.status, row.consumer_id, row.updated_at = "pending", None, now
            row.fencing_token += not broken.give_back_no_token_step
            row.attempt = max(0, row.attempt - (not broken.give_back_charged))
            if write.delay > timedelta():
                row.run_at = now + write.delay
        return Written(len(matching), tuple(_pending(row, now) for _, row in matching))

    async def locked_among(self, ids: Sequence[TaskId]) -> set[TaskId]:
        return {task_id for task_id in ids if self._tables.locked(task_id)}

    async def held(self, consumer: ConsumerId) -> set[RunKey]:
        return {
            (row.id, FencingToken(row.fencing_token))
            for row in self._tables.tasks.values()
            if row.status == "processing" and row.consumer_id == consumer
        }

    async def held_among(self, runs: Collection[RunKey]) -> set[RunKey]:
        found = (self._tables.tasks.get(task_id) for task_id, _ in runs)
        return {(row.id, FencingToken(row.fencing_token)) for row in found if row is not None} & set(runs)

    async def to_finish(self, done: Sequence[Completion]) -> list[tuple[Completion, TaskRow]]:
        """The rows that finish.sql would complete."""
        broken = self._tables.broken
        return await self._matching(done, by_id=broken.finish_by_id, by_status=broken.finish_by_status)

    async def _matching(
        self, writes: Sequence[W], *, by_id: bool, by_status: bool = False
    ) -> list[tuple[W, TaskRow]]:
        """The fenced rows (R2 fence), in the order of their ids, each once, when nobody else holds any of them."""
        await self._tables.wait_for(write.id for write in writes)
        found: dict[TaskId, tuple[W, TaskRow]] = {}
        for write in sorted(writes, key=lambda write: write.id):
            row = self._tables.tasks.get(write.id)
            if row is None or write.id in found:
                continue
            if by_id or (by_status and row.status == "processing") or row.fencing_token == write.token:
                found[write.id] = (write, row)
        return list(found.values())

    def _due(self, lane: Lane, now: datetime) -> list[TaskRow]:
        """What a lane holds that nobody has locked, in its order."""
        tables = self._tables
        rows = (row for row in tables.tasks.values() if row.lane == lane and row.status == "pending")
        return sorted((row for row in rows if row.run_at <= now and not tables.locked(row.id)), key=by_place)

    def _start(self, row: TaskRow, consumer: ConsumerId, now: datetime) -> Claim:
        row.status, row.consumer_id = "processing", consumer
        row.fencing_token += 1
        row.attempt += not self._tables.broken.claim_not_counted
        row.started_at = row.updated_at = now
        return to_claim(row, now)


def completed(row: TaskRow, write: Completion, tables: Tables, now: datetime) -> Callable[[], None]:
    """What finish.sql makes of `row`, to be done now or at a COMMIT. Raises RowRefused when the result is no JSON."""
    if write.result is not None:
        refuse_other_than_json(write.result)

    def change() -> None:
        row.status, row.result, row.error = "completed", write.result, None
        row.fencing_token += not tables.broken.no_token_step
        row.finished_at = row.updated_at = now

    return change


def refuse_other_than_json(text: str) -> None:
    """Raise what PostgreSQL's cast to json would."""
    try:
        json.loads(text)
    except ValueError:
        raise RowRefused("22P02", "invalid input syntax for type json") from None


def _pending(row: TaskRow, now: datetime) -> Pending:
    due_in = max(timedelta(), row.run_at - now)
    return Pending(row.id, row.queue, row.kind, row.priority, row.run_at <= now, due_in)


def _error(name: str, message: str, now: datetime) -> str:
    return json.dumps({"type": name, "message": message, "at": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")})


def poisoned(crashes: int, now: datetime) -> str:
    """The error that a reap leaves on a task which it buries."""
    return _error("poisoned", f"{crashes} consumers died while they ran it", now)
