"""Group commit with a store of a few lines: what shares a statement, who fails, what a lost answer means (A1)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from api import submissions
from api.submissions import MaybeAccepted, Submissions
from core.errors import OutcomeUnknown, Overloaded, RowRefused, StoreUnavailable
from core.events import Event
from core.ids import new_task_id
from core.task import JsonText, Kind, NewTask, TaskId
from db.tasks import Accepted

AT = datetime(2026, 11, 22, tzinfo=UTC)


def task(message: str = "", **values: object) -> NewTask:
    return NewTask(id=new_task_id(), kind=Kind("echo"), message=message, **values)  # type: ignore[arg-type]


class Store:
    """Commits what it is given, unless `act` says otherwise; `statements` has the messages of each."""

    def __init__(self) -> None:
        self.statements: list[list[str | None]] = []
        self.act: Callable[[Sequence[NewTask]], object] = lambda _: None
        self.gate = asyncio.Event()
        self.gate.set()

    async def submit(self, new: Sequence[NewTask]) -> Mapping[TaskId, Accepted]:
        self.statements.append([row.message for row in new])
        await self.gate.wait()
        self.act(new)
        return {row.id: Accepted(AT, AT, due=True) for row in new}


class Desk:
    """Submissions with one flusher, and what they handed over."""

    def __init__(self) -> None:
        self.store = Store()
        self.events: list[Event] = []
        self.handed_over: list[str | None] = []
        self.submissions = Submissions(self.store, hand_over=self._take, report=self.events.append)

    def _take(self, new: Sequence[NewTask], accepted: Mapping[TaskId, Accepted]) -> None:
        assert all(row.id in accepted for row in new)
        self.handed_over += [row.message for row in new]

    async def submit(self, *messages: str, patience: float = 5.0) -> Mapping[TaskId, Accepted]:
        return await self.submissions.submit([task(message) for message in messages], patience=patience)


@asynccontextmanager
async def desk() -> AsyncIterator[Desk]:
    made = Desk()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(made.submissions.run())
        yield made
        made.submissions.close()


async def settled() -> None:
    """Let everything that can run do so."""
    for _ in range(20):
        await asyncio.sleep(0)


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
            first = group.create_task(outcome(made.submit("in flight", patience=0.05)))
            await settled()
            second = group.create_task(outcome(made.submit("waits", patience=0.05)))
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
            await made.submissions.submit(new, patience=0.05)
        made.store.gate.set()

    assert unknown.value.ids == [row.id for row in new]


async def test_a_store_that_did_nothing_for_sure_leaves_nothing_in_doubt() -> None:
    def away(_: Sequence[NewTask]) -> None:
        raise StoreUnavailable("PostgreSQL", "nobody listens")

    async with desk() as made:
        made.store.act = away
        error = await outcome(made.submit("a", patience=0.1))

    assert type(error) is StoreUnavailable
    assert len(made.store.statements) > 1


async def test_an_unknown_outcome_stays_unknown_when_later_tries_do_nothing() -> None:
    def away(_: Sequence[NewTask]) -> None:
        kind = OutcomeUnknown if len(made.store.statements) == 1 else StoreUnavailable
        raise kind("PostgreSQL", "gone")

    async with desk() as made:
        made.store.act = away
        error = await outcome(made.submit("a", patience=0.1))

    assert isinstance(error, MaybeAccepted)


async def test_too_much_that_waits_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submissions, "MOST_ROWS_WAITING", 3)
    async with desk() as made, asyncio.TaskGroup() as group:
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


async def outcome(work: object) -> Exception | None:
    """What it raised, None when it succeeded."""
    try:
        await work  # type: ignore[misc]
    except Exception as error:  # noqa: BLE001 - the tests look at all of them
        return error
    return None
