"""Group commit: what shares a statement, who fails, and how much may wait (A1 commit)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from sluice.api.submit import submissions
from sluice.core.errors import Overloaded, RowRefused, StoreUnavailable
from sluice.core.task import JsonText, NewTask
from tests.api.submitting import AT, desk, outcome, settled, task


async def test_a_lone_submission_leaves_at_once_and_is_handed_over_after_its_commit() -> None:
    async with desk() as made:
        [accepted] = (await made.submit("a")).values()

        assert accepted.created_at == AT
        assert made.store.statements == [["a"]]
        assert made.handed_over == ["a"]


async def test_what_arrives_during_a_commit_shares_the_next() -> None:
    async with desk() as made, asyncio.TaskGroup() as group:
        made.store.gate.clear()
        group.create_task(made.submit("first"))
        await settled()
        for message in "abc":
            group.create_task(made.submit(message))
        group.create_task(made.submit("d", "e"))
        await settled()
        made.store.gate.set()

    assert made.store.statements == [["first"], ["a", "b", "c", "d", "e"]]


async def test_a_statement_has_a_bound_but_takes_one_large_submission_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(submissions, "ROWS_AT_ONCE", 3)
    async with desk() as made, asyncio.TaskGroup() as group:
        made.store.gate.clear()
        group.create_task(made.submit("first"))
        await settled()
        for message in "abcd":
            group.create_task(made.submit(message))
        group.create_task(made.submit(*"efghi"))
        await settled()
        made.store.gate.set()

    assert made.store.statements == [["first"], ["a", "b", "c"], ["d"], list("efghi")]


async def test_large_rows_do_not_pile_up_in_one_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submissions, "BYTES_AT_ONCE", 1000)
    async with desk() as made, asyncio.TaskGroup() as group:
        made.store.gate.clear()
        group.create_task(made.submit("first"))
        await settled()
        for _ in range(3):
            group.create_task(made.submissions.submit([task("m" * 300, payload=JsonText("p" * 300))]))
        await settled()
        made.store.gate.set()

    assert [len(statement) for statement in made.store.statements] == [1, 1, 1, 1]


async def test_only_the_submission_to_blame_fails() -> None:
    def refuse(new: Sequence[NewTask]) -> None:
        if any(row.message == "bad" for row in new):
            raise RowRefused("23514", "no")

    messages = [f"{n}" for n in range(500)]
    messages[137] = "bad"
    async with desk() as made:
        made.store.act = refuse
        made.store.gate.clear()
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(outcome(made.submit(message))) for message in messages]
            await settled()
            made.store.gate.set()

    failed = [message for message, one in zip(messages, asked, strict=True) if one.result() is not None]
    assert failed == ["bad"]
    assert isinstance(asked[137].result(), RowRefused)
    assert sorted(filter(None, made.handed_over)) == sorted(set(messages) - {"bad"})
    assert len(made.store.statements) < 25


async def test_a_batch_stands_or_falls_as_a_whole() -> None:
    def refuse(new: Sequence[NewTask]) -> None:
        if any(row.message == "bad" for row in new):
            raise RowRefused("22021", "no")

    async with desk() as made:
        made.store.act = refuse
        with pytest.raises(RowRefused):
            await made.submit("a", "bad", "b")

    assert made.handed_over == []
    assert made.store.statements == [["a", "bad", "b"]]


async def test_too_much_that_waits_is_told_at_once() -> None:
    async with desk(most_rows=3) as made, asyncio.TaskGroup() as group:
        made.store.gate.clear()
        group.create_task(made.submit("in flight"))
        await settled()
        for message in "abc":
            group.create_task(made.submit(message))
        await settled()
        with pytest.raises(Overloaded):
            await made.submit("d")
        made.store.gate.set()

    assert made.handed_over == ["in flight", "a", "b", "c"]


async def test_what_was_withdrawn_takes_no_room() -> None:
    async with desk(most_rows=2) as made, asyncio.TaskGroup() as group:
        made.store.gate.clear()
        group.create_task(made.submit("in flight"))
        await settled()
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await made.submit("withdrawn", seconds=0)
        group.create_task(made.submit("a", "b"))
        await settled()
        made.store.gate.set()

    assert made.handed_over == ["in flight", "a", "b"]


@pytest.mark.parametrize("leaves", ["its time is over", "its client leaves"])
async def test_what_was_withdrawn_behind_one_that_waits_takes_no_room(leaves: str) -> None:
    async with desk(most_rows=3) as made, asyncio.TaskGroup() as group:
        made.store.gate.clear()
        group.create_task(made.submit("in flight"))
        await settled()
        group.create_task(made.submit("waits"))
        await settled()
        for _ in range(5):
            if leaves == "its time is over":
                with pytest.raises(StoreUnavailable):
                    await made.submit("withdrawn", "too", seconds=0)
            else:
                leaving = group.create_task(made.submit("withdrawn", "too"))
                await settled()
                leaving.cancel()
                await settled()
        group.create_task(made.submit("a", "b"))
        await settled()
        made.store.gate.set()

    assert made.handed_over == ["in flight", "waits", "a", "b"]


async def test_many_bytes_that_wait_are_too_much_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submissions, "MOST_BYTES_WAITING", 1000)
    async with desk() as made, asyncio.TaskGroup() as group:
        made.store.gate.clear()
        group.create_task(made.submit("in flight"))
        await settled()
        group.create_task(made.submit("m" * 2000))  # alone it may wait, however large
        await settled()
        with pytest.raises(Overloaded):
            await made.submit("m")
        made.store.gate.set()

    assert len(made.handed_over) == 2


async def test_a_client_that_leaves_takes_its_unsent_submission_along() -> None:
    async with desk() as made:
        made.store.gate.clear()
        async with asyncio.TaskGroup() as group:
            group.create_task(made.submit("in flight"))
            await settled()
            leaving = group.create_task(made.submit("leaves"))
            await settled()
            leaving.cancel()
            await settled()
            made.store.gate.set()

    assert made.handed_over == ["in flight"]


async def test_a_fault_of_ours_reaches_the_request_and_the_flusher_lives() -> None:
    def fail(_: Sequence[NewTask]) -> None:
        if len(made.store.statements) == 1:
            raise KeyError("a bug")

    async with desk() as made:
        made.store.act = fail
        assert isinstance(await outcome(made.submit("a")), KeyError)
        assert await outcome(made.submit("b")) is None


async def test_closing_flushes_what_waits() -> None:
    async with asyncio.TaskGroup() as group, desk() as made:
        made.store.gate.clear()
        group.create_task(made.submit("in flight"))
        await settled()
        group.create_task(made.submit("waits"))
        await settled()
        made.submissions.close()
        made.store.gate.set()

    assert made.handed_over == ["in flight", "waits"]
