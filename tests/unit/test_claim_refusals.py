from __future__ import annotations

from collections.abc import Sequence

import pytest

from sluice.core.errors import OutcomeUnknown, RowRefused
from sluice.core.events import Claimed, StepFailed
from sluice.core.task import Claim, ConsumerId, TaskId
from sluice.db.claims import NO_HINTS, Batch
from tests.unit.claiming import LANES, Scene
from tests.unit.support import claim, settled, task_id, virtual


@virtual
async def test_a_row_that_is_refused_is_left_alone_and_its_neighbours_are_claimed() -> None:
    s = Scene()
    before = s.claimer.last

    async def answer(ids: Sequence[TaskId], **_: object) -> list[Claim]:
        assert s.claimer.asked == 5, "in flight as a whole: what one half brought is no stray"
        assert s.claimer.settled(before)
        assert not s.claimer.settled(s.claimer.last)
        if task_id(3) in ids:
            raise RowRefused("P0001", "not this one")
        return [claim(number) for number in range(1, 6) if task_id(number) in ids]

    s.store.claim = answer  # type: ignore[method-assign]
    assert await s.claimer.claim([task_id(number) for number in range(1, 6)]) == 4
    await settled()
    assert s.started == [([claim(number) for number in (1, 2, 4, 5)], s.lease.consumer)]
    [told] = s.events.of(StepFailed)
    assert str(task_id(3)) in told.reason
    assert "not this one" in told.reason
    assert s.events.of(Claimed) == [Claimed(4, asked=5)]
    assert s.claimer.settled(s.claimer.last)


@pytest.mark.parametrize("refused", [{1}, {3}, {5}, {1, 2, 4}, set(range(1, 6))], ids=str)
def test_without_redis_refused_rows_are_passed_over(refused: set[int]) -> None:
    @virtual
    async def scene() -> None:
        s = Scene()
        rows = list(range(1, 6))

        async def answer(_: object, n: int, *, skip: int, **__: object) -> Batch:
            found = rows[skip : skip + n]
            if refused & set(found):
                raise RowRefused("P0001", "not this one")
            rows[skip : skip + n] = []
            return Batch([claim(number) for number in found], {})

        s.store.claim_ready = answer  # type: ignore[assignment,method-assign]
        assert (await s.claimer.claim_ready(LANES, 8, NO_HINTS)).claimed == 5 - len(refused)
        await settled()
        [(claims, _)] = s.started
        assert {found.id for found in claims} == {task_id(n) for n in {1, 2, 3, 4, 5} - refused}
        assert len(s.events.of(StepFailed)) == len(refused)

    scene()


@virtual
async def test_without_redis_no_more_is_claimed_than_was_asked_for_and_refusals_have_a_bound() -> None:
    s = Scene()
    rows, asked = list(range(1, 200)), list[tuple[int, int]]()

    async def answer(_: object, n: int, *, skip: int, **__: object) -> Batch:
        asked.append((n, skip))
        if set(rows[skip : skip + n]) & {2, *range(10, 100)}:
            raise RowRefused("P0001", "not this one")
        found = rows[skip : skip + n]
        rows[skip : skip + n] = []
        return Batch([claim(number) for number in found], {})

    s.store.claim_ready = answer  # type: ignore[assignment,method-assign]
    assert (await s.claimer.claim_ready(LANES, 4, NO_HINTS)).claimed == 4
    await s.claimer.claim_ready(LANES, 4, NO_HINTS)
    assert (await s.claimer.claim_ready(LANES, 4, NO_HINTS)).claimed == 0
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

    async def answer_batch(*_: object, **__: object) -> Batch:
        return Batch(await answer(), {})

    s.store.claim = answer  # type: ignore[method-assign]
    s.store.claim_ready = answer_batch  # type: ignore[method-assign]
    first: list[list[Claim] | Exception] = [RowRefused("P0001", "one of them"), [claim(1)]]
    answers[:] = [*first, OutcomeUnknown("PostgreSQL", "gone")]
    assert await s.claimer.claim([task_id(1), task_id(2)]) == 1
    answers[:] = [*first, OutcomeUnknown("PostgreSQL", "gone")]
    assert (await s.claimer.claim_ready(LANES, 2, NO_HINTS)).claimed == 1
    await settled()
    assert [claims for claims, _ in s.started] == [[claim(1)]] * 2
    claimings = s.claimer.claim([task_id(1), task_id(2)]), s.claimer.claim_ready(LANES, 2, NO_HINTS)
    for claiming in claimings:
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

    async def answer_batch(lanes: object, *_: object, consumer: ConsumerId, **__: object) -> Batch:
        return Batch(await answer([lanes], consumer=consumer), {})

    s.store.claim = answer  # type: ignore[assignment,method-assign]
    s.store.claim_ready = answer_batch  # type: ignore[method-assign]
    for by_id in (True, False):
        asked.clear()
        s.started.clear()
        s.lease.renewed(s.clock())
        me = s.lease.consumer
        if by_id:
            assert await s.claimer.claim([task_id(1), task_id(2)]) == 1
        else:
            assert (await s.claimer.claim_ready(LANES, 2, NO_HINTS)).claimed == 1
        await settled()
        assert len(asked) == 2
        assert s.started == [([claim(1)], me)], "what became of it is work's to say"


@virtual
async def test_a_row_that_is_refused_while_the_id_is_declared_dead_is_the_last_one() -> None:
    s = Scene()
    asked: list[object] = []

    async def answer(*_: object, **__: object) -> list[Claim]:
        asked.append(None)
        s.lease.ended()
        raise RowRefused("P0001", "not this one")

    s.store.claim_ready = answer  # type: ignore[assignment,method-assign]
    assert (await s.claimer.claim_ready(LANES, 1, NO_HINTS)).claimed == 0
    assert len(asked) == 1
