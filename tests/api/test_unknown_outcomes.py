"""Group commit: what a lost answer means, and a time that is over (A1 commit)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from sluice.api.problems.errors import MaybeAccepted
from sluice.core.errors import OutcomeUnknown, StoreUnavailable
from sluice.core.task import NewTask, TaskId
from tests.api.submitting import desk, outcome, settled, task


async def test_a_lost_answer_is_repeated_as_it_stands() -> None:
    seen: list[list[TaskId]] = []

    def lose(new: Sequence[NewTask]) -> None:
        seen.append([row.id for row in new])
        if len(seen) < 3:
            raise OutcomeUnknown("PostgreSQL", "gone")

    async with desk() as made:
        made.store.act = lose
        [accepted] = (await made.submit("a")).values()

    assert accepted.due
    assert len(seen) == 3
    assert seen[0] == seen[1] == seen[2]
    assert made.handed_over == ["a"]


async def test_a_submission_that_never_left_is_withdrawn_when_its_time_is_over() -> None:
    async with desk() as made:
        made.store.gate.clear()
        async with asyncio.TaskGroup() as group:
            first = group.create_task(outcome(made.submit("in flight", seconds=0.05)))
            await settled()
            second = group.create_task(outcome(made.submit("waits", seconds=0.05)))
        made.store.gate.set()

    assert isinstance(first.result(), MaybeAccepted)
    assert type(second.result()) is StoreUnavailable
    assert made.store.statements == [["in flight"]]
    assert made.handed_over == ["in flight"]  # it was committed in the end, and will run


async def test_the_answer_to_one_whose_outcome_is_unknown_carries_its_ids() -> None:
    async with desk() as made:
        made.store.gate.clear()
        new = [task("a"), task("b")]
        with pytest.raises(MaybeAccepted) as unknown:
            await made.submissions.submit(new, seconds=0.05)
        made.store.gate.set()

    assert unknown.value.ids == [row.id for row in new]


async def test_a_store_that_did_nothing_for_sure_leaves_nothing_in_doubt() -> None:
    def away(_: Sequence[NewTask]) -> None:
        raise StoreUnavailable("PostgreSQL", "nobody listens")

    async with desk() as made:
        made.store.act = away
        error = await outcome(made.submit("a", seconds=0.1))

    assert type(error) is StoreUnavailable
    assert len(made.store.statements) > 1


async def test_an_unknown_outcome_stays_unknown_when_later_tries_do_nothing() -> None:
    def away(_: Sequence[NewTask]) -> None:
        kind = OutcomeUnknown if len(made.store.statements) == 1 else StoreUnavailable
        raise kind("PostgreSQL", "gone")

    async with desk() as made:
        made.store.act = away
        error = await outcome(made.submit("a", seconds=0.1))

    assert isinstance(error, MaybeAccepted)
