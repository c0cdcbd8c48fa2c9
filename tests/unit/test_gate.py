# mypy: disable-error-code=unreachable
# It takes a property for a constant.
from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from consumer.gate import Gate
from consumer.lease import Lease
from core.errors import OutcomeUnknown, RowRefused
from core.events import Claimed, StepFailed
from core.task import Claim, ConsumerId, Kind, QueueName, ReadyList, TaskId
from tests.unit.support import Clock, Events, claim, settled, task_id, trusted, virtual

KINDS = [Kind("test")]
LISTS = [ReadyList(QueueName("default"), 5)]


class Store:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, object, ConsumerId, Sequence[Kind]]] = []
        self.answers: list[asyncio.Future[list[Claim]]] = []

    async def claim(
        self, ids: Sequence[TaskId], *, consumer: ConsumerId, kinds: Sequence[Kind]
    ) -> list[Claim]:
        return await self._answer("claim", list(ids), consumer, kinds)

    async def claim_ready(
        self, lists: Sequence[ReadyList], n: int, *, skip: int, consumer: ConsumerId, kinds: Sequence[Kind]
    ) -> list[Claim]:
        assert skip == 0
        return await self._answer("claim_ready", (lists, n), consumer, kinds)

    async def _answer(self, verb: str, what: object, me: ConsumerId, kinds: Sequence[Kind]) -> list[Claim]:
        self.asked.append((verb, what, me, kinds))
        self.answers.append(asyncio.get_running_loop().create_future())
        return await self.answers[-1]


class Scene:
    """A gate over a store that answers by hand."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.lease: Lease = trusted(self.clock)
        self.store, self.events, self.refused = Store(), Events(), list[Claim]()
        self.allowed = True
        self.gate = Gate(
            store=self.store,
            kinds=KINDS,
            lease=self.lease,
            allowed=lambda: self.allowed,
            refuse=self.refused.append,
            report=self.events,
        )


def test_the_gate_is_open_while_the_lease_is_trusted_and_outcomes_are_written() -> None:
    s = Scene()
    assert s.gate.open
    s.allowed = False
    assert not s.gate.open
    s.allowed = True
    s.clock.move(25)
    assert not s.gate.open


@virtual
async def test_a_claim_names_this_consumer_and_the_kinds_it_serves() -> None:
    s = Scene()
    async with asyncio.TaskGroup() as group:
        by_id = group.create_task(s.gate.claim([task_id(1), task_id(2)]))
        by_list = group.create_task(s.gate.claim_ready(LISTS, 3))
        await settled()
        for number, answer in enumerate(s.store.answers, 1):
            answer.set_result([claim(number)])

    me = s.lease.consumer
    assert s.store.asked == [
        ("claim", [task_id(1), task_id(2)], me, KINDS),
        ("claim_ready", (LISTS, 3), me, KINDS),
    ]
    assert (by_id.result(), by_list.result()) == ([claim(1)], [claim(2)])
    assert s.events.all == [Claimed(1, asked=2), Claimed(1, asked=3)]


@virtual
async def test_claims_are_numbered_and_counted_while_they_are_in_flight() -> None:
    s = Scene()
    assert s.gate.settled(s.gate.last)
    async with asyncio.TaskGroup() as group:
        group.create_task(s.gate.claim([task_id(1)]))
        await settled()
        first = s.gate.last
        group.create_task(s.gate.claim_ready(LISTS, 3))
        await settled()
        second = s.gate.last
        assert s.gate.asked == 4

        assert first < second
        assert not s.gate.settled(first)
        s.store.answers[0].set_result([])
        await settled()
        assert s.gate.settled(first), "a younger claim is no matter"
        assert not s.gate.settled(second)
        assert s.gate.asked == 3
        s.store.answers[1].set_result([])
    assert s.gate.settled(second)


@virtual
async def test_an_older_claim_that_still_flies_keeps_a_younger_one_from_counting_as_settled() -> None:
    s = Scene()
    async with asyncio.TaskGroup() as group:
        group.create_task(s.gate.claim([task_id(1)]))
        await settled()
        group.create_task(s.gate.claim([task_id(2)]))
        await settled()
        s.store.answers[1].set_result([])
        await settled()
        assert not s.gate.settled(s.gate.last)
        s.store.answers[0].set_result([])


@virtual
async def test_a_claim_whose_answer_is_lost_is_no_longer_in_flight() -> None:
    s = Scene()

    async def lose() -> None:
        with pytest.raises(OutcomeUnknown):
            await s.gate.claim([task_id(1)])

    async with asyncio.TaskGroup() as group:
        group.create_task(lose())
        await settled()
        s.store.answers[0].set_exception(OutcomeUnknown("PostgreSQL", "gone"))
    assert s.gate.settled(s.gate.last)
    assert s.events.all == []


@virtual
async def test_what_a_claim_brings_to_a_consumer_that_was_declared_dead_meanwhile_is_refused() -> None:
    s = Scene()
    async with asyncio.TaskGroup() as group:
        claiming = group.create_task(s.gate.claim([task_id(1), task_id(2)]))
        await settled()
        s.lease.ended()
        s.lease.renewed(s.clock())
        s.store.answers[0].set_result([claim(1), claim(2)])

    assert claiming.result() == []
    assert s.refused == [claim(1), claim(2)]


@virtual
async def test_a_row_that_is_refused_is_left_alone_and_its_neighbours_are_claimed() -> None:
    s = Scene()
    before = s.gate.last

    async def answer(ids: Sequence[TaskId], **_: object) -> list[Claim]:
        assert s.gate.asked == 5, "in flight as a whole: what one half brought is no stray"
        assert s.gate.settled(before)
        assert not s.gate.settled(s.gate.last)
        if task_id(3) in ids:
            raise RowRefused("P0001", "not this one")
        return [claim(number) for number in range(1, 6) if task_id(number) in ids]

    s.store.claim = answer  # type: ignore[method-assign]
    claims = await s.gate.claim([task_id(number) for number in range(1, 6)])
    assert [found.id for found in claims] == [task_id(number) for number in (1, 2, 4, 5)]
    [told] = s.events.of(StepFailed)
    assert str(task_id(3)) in told.reason
    assert "not this one" in told.reason
    assert s.events.of(Claimed) == [Claimed(4, asked=5)]
    assert s.gate.settled(s.gate.last)


@pytest.mark.parametrize("refused", [{1}, {3}, {5}, {1, 2, 4}, set(range(1, 6))], ids=str)
def test_without_redis_refused_rows_are_passed_over(refused: set[int]) -> None:
    @virtual
    async def scene() -> None:
        s = Scene()
        rows = list(range(1, 6))

        async def answer(_: object, n: int, *, skip: int, **__: object) -> list[Claim]:
            found = rows[skip : skip + n]
            if refused & set(found):
                raise RowRefused("P0001", "not this one")
            rows[skip : skip + n] = []
            return [claim(number) for number in found]

        s.store.claim_ready = answer  # type: ignore[assignment,method-assign]
        claims = await s.gate.claim_ready(LISTS, 8)
        assert {found.id for found in claims} == {task_id(n) for n in {1, 2, 3, 4, 5} - refused}
        assert len(s.events.of(StepFailed)) == len(refused)

    scene()


@virtual
async def test_without_redis_no_more_is_claimed_than_was_asked_for_and_refusals_have_a_bound() -> None:
    s = Scene()
    rows, asked = list(range(1, 200)), list[tuple[int, int]]()

    async def answer(_: object, n: int, *, skip: int, **__: object) -> list[Claim]:
        asked.append((n, skip))
        if set(rows[skip : skip + n]) & {2, *range(10, 100)}:
            raise RowRefused("P0001", "not this one")
        found = rows[skip : skip + n]
        rows[skip : skip + n] = []
        return [claim(number) for number in found]

    s.store.claim_ready = answer  # type: ignore[assignment,method-assign]
    assert len(await s.gate.claim_ready(LISTS, 4)) == 4
    await s.gate.claim_ready(LISTS, 4)
    assert await s.gate.claim_ready(LISTS, 4) == []
    assert max(skip for _, skip in asked) == 10
    assert len(asked) < 60


@virtual
async def test_what_one_half_brought_is_kept_when_the_other_has_no_answer() -> None:
    s = Scene()
    answers: list[list[Claim] | Exception] = []

    async def answer(*_: object, **__: object) -> list[Claim]:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    s.store.claim = answer  # type: ignore[method-assign]
    s.store.claim_ready = answer  # type: ignore[method-assign]
    first: list[list[Claim] | Exception] = [RowRefused("P0001", "one of them"), [claim(1)]]
    answers[:] = [*first, OutcomeUnknown("PostgreSQL", "gone")]
    assert await s.gate.claim([task_id(1), task_id(2)]) == [claim(1)]
    answers[:] = [*first, OutcomeUnknown("PostgreSQL", "gone")]
    assert await s.gate.claim_ready(LISTS, 2) == [claim(1)]
    for claiming in (s.gate.claim([task_id(1), task_id(2)]), s.gate.claim_ready(LISTS, 2)):
        answers[:] = [first[0], OutcomeUnknown("PostgreSQL", "gone"), OutcomeUnknown("PostgreSQL", "gone")]
        with pytest.raises(OutcomeUnknown):
            await claiming


@virtual
async def test_nothing_more_is_claimed_under_an_id_that_was_declared_dead_meanwhile() -> None:
    s = Scene()
    asked: list[object] = []

    async def answer(what: Sequence[object], *_: object, consumer: ConsumerId, **__: object) -> list[Claim]:
        assert consumer == me
        asked.append(what)
        if len(asked) == 1:
            raise RowRefused("P0001", "one of them")
        s.lease.ended()
        return [claim(1)]

    s.store.claim = s.store.claim_ready = answer  # type: ignore[assignment,method-assign]
    for by_id in (True, False):
        asked.clear()
        s.refused.clear()
        s.lease.renewed(s.clock())
        me = s.lease.consumer
        claiming = s.gate.claim([task_id(1), task_id(2)]) if by_id else s.gate.claim_ready(LISTS, 2)
        assert await claiming == []
        assert len(asked) == 2
        assert s.refused == [claim(1)]


@virtual
async def test_a_row_that_is_refused_while_the_id_is_declared_dead_is_the_last_one() -> None:
    s = Scene()
    asked: list[object] = []

    async def answer(*_: object, **__: object) -> list[Claim]:
        asked.append(None)
        s.lease.ended()
        raise RowRefused("P0001", "not this one")

    s.store.claim_ready = answer  # type: ignore[method-assign]
    assert await s.gate.claim_ready(LISTS, 1) == []
    assert len(asked) == 1
