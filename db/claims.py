"""What a consumer does to tasks: claim, finish, fail, give back. Every write after the claim is fenced (R2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from core.task import FencingToken, ReadyList, RunKey, TaskId
from db.rows import to_claims

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.outcome import Failure
    from core.task import Claim, ConsumerId, JsonText, Kind
    from db.session import Database, Record


_ID = attrgetter("id")
_FIRST = itemgetter(0)


class Write(Protocol):
    """A fenced write: it names the run that it means."""

    @property
    def id(self) -> TaskId: ...
    @property
    def token(self) -> FencingToken: ...


class Completion(NamedTuple):
    """This try succeeded. One is made for every task: a tuple takes half the time that a frozen dataclass does."""

    id: TaskId
    token: FencingToken
    result: JsonText | None


@dataclass(frozen=True, slots=True)
class Failing:
    """This try failed; `delay` None: for good."""

    id: TaskId
    token: FencingToken
    failure: Failure
    delay: timedelta | None


@dataclass(frozen=True, slots=True)
class Return:
    """This try is handed back uncharged, to run again after `delay`."""

    id: TaskId
    token: FencingToken
    delay: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Pending:
    """A row that a write made pending again: on which list it belongs, and in how long it is due."""

    id: TaskId
    list: ReadyList
    due: bool
    due_in: timedelta


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
        self, ids: Sequence[TaskId], *, consumer: ConsumerId, kinds: Sequence[Kind]
    ) -> list[Claim]:
        """Start a try of each id that is pending, due and of these kinds (R1). The others do not come back."""
        rows = await self._database.rows("claim", ids=sorted(ids), consumer_id=consumer, kinds=list(kinds))
        return to_claims(rows)

    async def claim_ready(
        self,
        lists: Sequence[ReadyList],
        n: int,
        *,
        consumer: ConsumerId,
        kinds: Sequence[Kind],
        skip: int = 0,
    ) -> list[Claim]:
        """Start up to `n` tries without Redis, from `lists` in their order (S4), after the first `skip` rows."""
        rows = await self._database.rows(
            "claim_ready",
            queues=[ready.queue for ready in lists],
            priorities=[ready.priority for ready in lists],
            n=n,
            skip=skip,
            consumer_id=consumer,
            kinds=list(kinds),
        )
        return to_claims(rows)

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
        """The runs that are `processing` under this id (L4)."""
        rows = await self._database.rows("held", consumer_id=consumer)
        return {(TaskId(row.id), FencingToken(row.fencing_token)) for row in rows}


def finish_values(done: Sequence[Completion]) -> dict[str, Any]:
    """The parameters of finish.sql; ctx.session() runs it on the handler's own connection (R6)."""
    results = [write.result for write in done]  # where all are null, one null will do: unnest fills it up
    return {
        "ids": [write.id for write in done],
        "tokens": [write.token for write in done],
        "results": None if results.count(None) == len(results) else results,
    }


def _pending(row: Record) -> Pending:
    due_in = timedelta(seconds=max(0.0, float(row.due_in)))
    return Pending(row.id, ReadyList(row.queue, row.priority), row.due, due_in)
