"""What a consumer does to tasks: claim, finish, fail, give back. Every write after the claim is fenced (R2 fence)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from sluice.core.task import SUSPECTED_AFTER_CRASHES, Claim, FencingToken, Kind, QueueName, RunKey, TaskId
from sluice.db.rows import Place, to_claims

if TYPE_CHECKING:
    from datetime import datetime

    from sluice.core.outcome import Completion, Failing, Return
    from sluice.core.task import ConsumerId
    from sluice.db.session import Database, Record

SLACK = timedelta(seconds=3)
"""How much longer than a listed task another one must wait to count as lost: hints do not come in the order of rows."""

_ID = attrgetter("id")
_FIRST = itemgetter(0)


class Pending(NamedTuple):
    """A row that a write made pending again, what its audience is found by, and in how long it is due."""

    id: TaskId
    queue: QueueName
    kind: Kind
    priority: int
    due: bool
    due_in: timedelta


class Lane(NamedTuple):
    """The pending rows of one queue, kind and priority, in the order in which they fall due."""

    queue: QueueName
    kind: Kind
    priority: int


class Hints(NamedTuple):
    """What a list brought last, and whose list it is: what waits longer in those lanes is in no list any more."""

    ids: Sequence[TaskId]
    lanes: Collection[Lane]


NO_HINTS = Hints((), ())


class Batch(NamedTuple):
    """What a claim by the rows brought, and the last row of each lane that gave some."""

    claims: list[Claim]
    ends: dict[Lane, Place]


@dataclass(frozen=True, slots=True)
class Written:
    """What a batch of fenced writes did: how many rows took it, and which of them are pending now."""

    rows: int
    pending: tuple[Pending, ...] = ()


class Claims:
    """The table `tasks`, as consumers change it. Every method is one round trip and its own transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(
        self, ids: Sequence[TaskId], *, consumer: ConsumerId, kinds: Sequence[Kind], suspects: bool = True
    ) -> list[Claim]:
        """Start a try of each id that is pending, due and of these kinds (R1 gate). The others do not come back.

        Nor do those which one more crash would poison, but for one of them where `suspects` may begin (U2 reap).
        """
        rows = await self._database.rows(
            "claim", ids=sorted(ids), consumer_id=consumer, kinds=list(kinds), suspects=suspects
        )
        return to_claims(rows)

    async def lanes(
        self, queues: Sequence[QueueName], kinds: Sequence[Kind], n: int, *, since: str = ""
    ) -> list[tuple[Lane, datetime]]:
        """Up to `n` lanes of these queues and kinds that hold a due task, each with the instant of its first.

        Queue by queue in their order, each by kind. The first queue begins with its kind `since`; those before it come
        last.
        """
        rest = list(queues[:1]) if since else []
        rows = await self._database.rows(
            "lanes",
            queues=[*queues, *rest],
            sinces=[since, *("" for _ in [*queues[1:], *rest])] if queues else [],
            kinds=list(kinds),
            n=n,
        )
        return list({Lane(row.queue, row.kind, row.priority): row.run_at for row in rows}.items())

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
        """Start up to `n` tries by the rows themselves, lane by lane in their order, each from behind its place.

        The first `skip` rows are passed over. Of lanes that have `listed` hints only what waits longer is taken. Of
        their suspects one begins, the `suspect` th, since those before it were refused; none when that is 0 (U2 reap).
        """
        rows = await self._database.rows(
            "claim_ready",
            queues=[lane.queue for lane in lanes],
            kinds=[lane.kind for lane in lanes],
            priorities=[lane.priority for lane in lanes],
            run_ats=[place.run_at for place in lanes.values()],
            ids=[place.id for place in lanes.values()],
            listed=[lane in listed.lanes for lane in lanes],
            hints=list(listed.ids),
            slack=SLACK.total_seconds(),
            n=n,
            skip=skip,
            suspect=suspect,
            consumer_id=consumer,
        )
        ends: dict[Lane, Place] = {}
        for row in rows:
            if row.crashes < SUSPECTED_AFTER_CRASHES:  # innocent tasks may wait before a suspect's place
                lane, place = Lane(row.queue, row.kind, row.priority), Place(row.run_at, row.id)
                ends[lane] = max(place, ends.get(lane, place))
        return Batch(to_claims([row[:-1] for row in map(tuple, rows)]), ends)

    async def finish(self, done: Sequence[Completion]) -> Written:
        """Complete them. Raises RowRefused when PostgreSQL refuses a result."""
        done = sorted(done, key=_FIRST)
        count = await self._database.count("finish", **finish_values(done))
        return Written(count)

    async def fail(self, lost: Sequence[Failing]) -> Written:
        """Record their failures."""
        lost = sorted(lost, key=_ID)
        rows = await self._database.rows(
            "fail",
            ids=[write.id for write in lost],
            tokens=[write.token for write in lost],
            types=[write.failure.type for write in lost],
            messages=[write.failure.message for write in lost],
            delays=[None if write.delay is None else write.delay.total_seconds() for write in lost],
        )
        return Written(len(rows), tuple(_pending(row) for row in rows if row.due_in is not None))

    async def give_back(self, back: Sequence[Return]) -> Written:
        """Hand them back uncharged."""
        back = sorted(back, key=_ID)
        rows = await self._database.rows(
            "give_back",
            ids=[write.id for write in back],
            tokens=[write.token for write in back],
            delays=[write.delay.total_seconds() for write in back],
        )
        return Written(len(rows), tuple(_pending(row) for row in rows))

    async def locked_among(self, ids: Sequence[TaskId]) -> set[TaskId]:
        """Those whose rows somebody else holds locked. Waits for none of them."""
        rows = await self._database.rows("locked_among", ids=sorted(ids))
        return {row.id for row in rows}

    async def held(self, consumer: ConsumerId) -> set[RunKey]:
        """The runs that are `processing` under this id (L4 reconcile). Dear while an old snapshot is held."""
        return _run_keys(await self._database.rows("held", consumer_id=consumer))

    async def held_among(self, runs: Collection[RunKey]) -> set[RunKey]:
        """Those of them whose rows say that they are still on, by their keys (L4 reconcile)."""
        rows = await self._database.rows(
            "held_among", ids=[task_id for task_id, _ in runs], tokens=[token for _, token in runs]
        )
        return _run_keys(rows)


def finish_values(done: Sequence[Completion]) -> dict[str, Any]:
    """The parameters of finish.sql; ctx.session() runs it on the handler's own connection (R6 session)."""
    results = [write.result for write in done]  # where all are null, one null will do: unnest fills it up
    return {
        "ids": [write.id for write in done],
        "tokens": [write.token for write in done],
        "results": None if results.count(None) == len(results) else results,
    }


def _run_keys(rows: Sequence[Record]) -> set[RunKey]:
    return {(TaskId(row.id), FencingToken(row.fencing_token)) for row in rows}


def _pending(row: Record) -> Pending:
    due_in = timedelta(seconds=max(0.0, float(row.due_in)))
    return Pending(row.id, row.queue, row.kind, row.priority, row.due, due_in)
