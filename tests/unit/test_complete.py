from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from sluice.core.errors import OutcomeUnknown, RowRefused, StoreUnavailable
from sluice.core.events import Fenced, Finished, OutcomeRefused, StoreBack, StoreLost
from sluice.core.outcome import Completion, Failing, Return
from tests.unit.completing import TOKEN, Scene, back, done, failed, scene
from tests.unit.support import now, settled, task_id, virtual


@scene
async def test_a_lone_outcome_is_written_at_once_and_what_comes_meanwhile_goes_together(s: Scene) -> None:
    await s.put(done(1))
    await s.put(done(2))
    await s.put(done(3))
    await asyncio.sleep(1.5)
    assert s.store.sent == [("finish", [1]), ("finish", [2, 3])]
    await asyncio.sleep(1)
    assert s.complete.waiting == 0
    assert s.events.all == [Finished(1), Finished(2)]


@scene
async def test_each_kind_of_outcome_is_one_statement(s: Scene) -> None:
    await s.put(done(1))
    await s.put(done(2), failed(3), back(4), done(5), failed(6))
    await asyncio.sleep(5)
    assert s.store.sent[1:] == [("finish", [2, 5]), ("fail", [3, 6]), ("give_back", [4])]
    assert s.published == [3, 6, 4]


@scene
async def test_what_is_being_written_is_known_by_id_and_token(s: Scene) -> None:
    await s.put(done(1))
    await s.put(failed(2), done(3))
    assert s.complete.keys() == {(task_id(number), TOKEN) for number in (1, 2, 3)}
    await asyncio.sleep(1.5)
    assert s.complete.keys() == {(task_id(number), TOKEN) for number in (2, 3)}
    await asyncio.sleep(2)
    assert s.complete.keys() == set()


@scene
async def test_one_result_that_postgresql_refuses_fails_alone(s: Scene) -> None:
    s.store.bad = {4}
    await s.put(done(99))
    await s.put(*map(done, range(1, 8)))
    await asyncio.sleep(30)

    assert {n for n, write in s.store.written.items() if isinstance(write, Completion)} == {
        1, 2, 3, 5, 6, 7, 99
    }  # fmt: skip
    assert s.events.of(OutcomeRefused) == [
        OutcomeRefused(str(task_id(4)), reason="invalid input\N{REPLACEMENT CHARACTER} for type json")
    ]
    assert s.events.of(Fenced) == []


@scene
async def test_a_refused_result_fails_its_try_for_good_and_a_refused_failure_ends_it_uncharged(
    s: Scene,
) -> None:
    s.store.bad, s.store.refuses = {4}, {"finish", "fail"}
    await s.put(done(4))
    await asyncio.sleep(12)

    assert [verb for verb, _ in s.store.sent] == ["finish", "fail", "fail", "give_back"]
    assert s.store.written == {4: Return(task_id(4), TOKEN, timedelta(minutes=1))}


@scene
async def test_a_failure_whose_words_are_refused_is_written_in_plain_ones(s: Scene) -> None:
    """Handed back uncharged it would run again each minute, for ever."""
    s.store.errors = [RowRefused("22P05", "no equivalent in LATIN1")]
    await s.put(failed(4))
    await asyncio.sleep(3)
    written = s.store.written[4]
    assert isinstance(written, Failing)
    assert (written.failure.type, written.delay) == ("OutcomeRefused", timedelta(seconds=1))
    assert written.failure.message.isascii()


@scene
async def test_the_failure_that_replaces_a_refused_result_can_be_stored(s: Scene) -> None:
    s.store.bad = {4}
    await s.put(done(4))
    await asyncio.sleep(0.5)
    s.store.bad = set()
    s.store.errors = [RowRefused("22P02", "x\0" * 5000)]
    await asyncio.sleep(3)

    written = s.store.written[4]
    assert isinstance(written, Failing)
    assert (written.failure.type, written.delay) == ("ResultRefused", None)
    assert written.failure.message.startswith("PostgreSQL refuses the result: x\N{REPLACEMENT CHARACTER}x")
    assert len(written.failure.message.encode()) <= 2048


@scene
async def test_outcomes_are_kept_over_an_outage_and_sent_as_they_stand_until_they_are_written(
    s: Scene,
) -> None:
    s.store.errors = [StoreUnavailable("PostgreSQL", "gone")] * 8
    await s.put(done(1), failed(2))
    await asyncio.sleep(60)

    assert s.store.sent[:9] == [("finish", [1])] * 9
    assert s.store.sent[9:] == [("fail", [2])]
    pauses = [after - before - 1 for before, after in pairwise(s.store.times[:9])]
    assert pauses == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1, 1, 1])
    assert s.events.of(StoreLost) == [StoreLost("PostgreSQL", doing="complete", reason="gone")]
    assert s.events.of(StoreBack) == [StoreBack("PostgreSQL", doing="complete")]


@scene
async def test_a_write_whose_answer_was_lost_is_repeated_and_not_counted_as_fenced(s: Scene) -> None:
    s.store.errors = [OutcomeUnknown("PostgreSQL", "connection reset")]
    s.store.answer_lost = True
    await s.put(done(1))
    await asyncio.sleep(5)

    assert s.store.sent == [("finish", [1])] * 2
    assert s.store.written == {1: done(1)}
    assert s.events.of(Fenced) == []


@scene
async def test_a_write_whose_token_is_no_longer_ours_is_counted(s: Scene) -> None:
    s.store.written = {1: back(1), 2: back(2)}
    await s.put(done(1))
    await s.put(done(2), done(3))
    await asyncio.sleep(5)
    assert s.events.of(Fenced) == [Fenced(1), Fenced(1)]
    assert s.events.of(Finished) == [Finished(0), Finished(1)]


@scene
async def test_what_a_canceled_run_gave_back_hides_no_fenced_write_and_is_none(s: Scene) -> None:
    """A row may be said to be canceled that was not, or is not any more: its write counts like any other."""
    s.store.written = {2: done(2), 3: done(3)}
    await s.put(done(9))
    await s.put(replace(back(1), canceled=True), replace(back(2), canceled=True), back(3))
    await asyncio.sleep(5)
    assert s.events.of(Fenced) == [Fenced(1)]


@scene
async def test_an_outage_in_the_middle_of_halving_loses_nothing(s: Scene) -> None:
    s.store.bad = {4}
    await s.put(done(99))
    await s.put(*map(done, range(1, 8)))
    s.store.errors = [None, None, None, OutcomeUnknown("PostgreSQL", "gone")]
    await asyncio.sleep(60)

    assert set(s.store.written) == {1, 2, 3, 4, 5, 6, 7, 99}
    assert [n for n, write in s.store.written.items() if not isinstance(write, Completion)] == [4]


@scene
async def test_above_the_high_mark_claims_must_wait_and_are_told_when_it_falls(s: Scene) -> None:
    s.store.errors = [StoreUnavailable("PostgreSQL", "gone")]
    await s.put(done(99))
    await s.put(*map(done, range(1, 9)))
    assert not s.complete.full
    await s.put(done(9))
    assert (s.complete.waiting, s.complete.full, s.told_of_room) == (10, True, 0)

    await asyncio.sleep(2.5)
    assert (s.complete.waiting, s.complete.full, s.told_of_room) == (9, False, 1)


@scene
async def test_a_batch_has_a_bound_of_rows_and_of_bytes(s: Scene) -> None:
    await s.put(done(0))
    await s.put(*map(done, range(1, 1502)))
    await asyncio.sleep(3.5)
    assert [len(numbers) for _, numbers in s.store.sent] == [1, 1000, 501]

    await s.put(done(2000))
    await s.put(*(done(number, "x" * (1 << 20)) for number in range(2001, 2011)))
    await asyncio.sleep(3.5)
    assert [len(numbers) for _, numbers in s.store.sent[3:]] == [1, 8, 2]


@virtual
async def test_closing_waits_until_all_is_written_however_long_the_outage() -> None:
    s = Scene()
    s.store.errors = [StoreUnavailable("PostgreSQL", "gone")] * 20
    async with asyncio.TaskGroup() as group:
        writing = group.create_task(s.complete.run())
        await s.put(done(1))
        s.complete.close()
        await asyncio.sleep(20)
        assert not writing.done()
    assert s.store.written == {1: done(1)}


@virtual
async def test_closing_with_nothing_to_write_ends_at_once() -> None:
    s = Scene()
    async with asyncio.TaskGroup() as group:
        group.create_task(s.complete.run())
        await settled()
        s.complete.close()
    assert now() < 0.1


@virtual
async def test_a_fault_of_the_program_is_not_swallowed() -> None:
    s = Scene()
    s.store.errors = [KeyError("column")]
    s.complete.put(done(1))
    with pytest.raises(KeyError):
        await s.complete.run()
