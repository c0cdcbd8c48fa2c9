from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError

from consumer import work
from consumer.complete import Write
from consumer.lease import Lease
from consumer.registry import Mode
from consumer.running import Stop
from consumer.work import Work
from core.events import Fenced, GivenBack, StepFailed
from core.outcome import Failed, Interrupted, Outcome, Snoozed
from core.task import JsonText, Kind
from db.claims import Completion, Failing, Return
from tests.unit.support import claim, now, settled, task_id, virtual
from tests.unit.working import BROKEN, DONE, Scene, ServerSays, Transaction


@pytest.fixture(autouse=True)
def made(monkeypatch: pytest.MonkeyPatch) -> list[Transaction]:
    monkeypatch.setattr(work, "Transaction", Transaction)
    Transaction.made = []
    return Transaction.made


@virtual
async def test_every_claim_is_started_in_the_slot_that_was_taken_for_it() -> None:
    s = Scene()
    await s.start(1, 2)
    assert [run.claim.id for run in s.runs] == [task_id(1), task_id(2)]
    assert (len(s.running), s.slots.free) == (2, 2)
    assert s.work.kinds == {"LOOP", "THREAD", "PROCESS"}


@pytest.mark.parametrize(
    ("outcome", "write"),
    [
        (DONE, Completion(task_id(1), claim().token, JsonText('"done"'))),
        (
            Failed(BROKEN, timedelta(seconds=3)),
            Failing(task_id(1), claim().token, BROKEN, timedelta(seconds=3)),
        ),
        (Failed(BROKEN, final=True), Failing(task_id(1), claim().token, BROKEN, None)),
        (Snoozed(timedelta(seconds=4)), Return(task_id(1), claim().token, timedelta(seconds=4))),
        (Interrupted(), Return(task_id(1), claim().token)),
    ],
)
def test_every_outcome_is_one_write_under_the_claim_s_token(outcome: Outcome, write: Write) -> None:
    @virtual
    async def scene() -> None:
        s = Scene()
        await s.start(1)
        await asyncio.sleep(2)
        await s.end(0, outcome)

        assert s.writes == [write]
        assert (len(s.running), s.slots.free) == (0, 4)
        assert s.seconds == [pytest.approx(2, abs=0.01)]

    scene()


@virtual
async def test_nothing_starts_during_a_drain_or_without_trust_and_what_was_claimed_goes_back() -> None:
    s = Scene()
    s.work.draining = True
    await s.start(1)
    s.work.draining = False
    await asyncio.sleep(25)
    await s.start(2)

    assert s.runs == []
    assert s.writes == [Return(task_id(1), claim().token), Return(task_id(2), claim().token)]
    assert s.events.all == [GivenBack(1, why="draining"), GivenBack(1, why="lease not trusted")]
    assert s.slots.free == 4


@pytest.mark.parametrize(
    ("meanwhile", "why"),
    [
        (lambda work, _: setattr(work, "draining", True), "draining"),
        (lambda _, lease: setattr(lease, "_trusted_until", float("-inf")), "lease not trusted"),
        (lambda _, lease: (lease.ended(), lease.renewed(now())), "lease not trusted"),
    ],
    ids=["a stop", "the trust ends", "declared dead and back"],
)
def test_what_came_while_a_neighbour_of_the_claim_blocked_the_loop_is_seen_before_a_handler_starts(
    meanwhile: Callable[[Work, Lease], object], why: str
) -> None:
    @virtual
    async def scene() -> None:
        s = Scene()
        s.slots.take(1)
        s.work.start([claim(1, kind=Kind("LOOP"))])
        meanwhile(s.work, s.lease)
        await settled()

        assert s.runs == []
        assert s.writes == [Return(task_id(1), claim().token)]
        assert s.events.all == [GivenBack(1, why=why)]
        assert (s.slots.free, len(s.running)) == (4, 0)

    scene()


@virtual
async def test_a_fault_of_ours_costs_a_task_nothing() -> None:
    s = Scene()
    await s.start(1)
    await s.end(0, RuntimeError("a bug"))

    assert s.writes == [Return(task_id(1), claim().token, timedelta(seconds=1))]
    assert len(s.running) == 0
    [told] = s.events.of(StepFailed)
    assert "a bug" in told.reason


@virtual
async def test_only_a_handler_on_the_loop_has_a_transaction(made: list[Transaction]) -> None:
    s = Scene()
    for mode in Mode:
        await s.start(1, kind=Kind(mode.name), timeout=7.0)

    assert [transaction.limit for transaction in made] == [7.0]
    assert made[0].engine == "engine"
    sessions: list[object] = [ctx._transaction for ctx in s.contexts]
    assert sessions == [made[0], None, None]
    for at in range(3):
        await s.end(at, DONE)


@virtual
async def test_the_outcome_of_a_handler_that_used_its_session_is_written_there(
    made: list[Transaction],
) -> None:
    s = Scene()
    await s.start(1)
    made[0].used = True
    await s.end(0, DONE)

    assert made[0].log == [Completion(task_id(1), claim().token, JsonText('"done"')), "abandon"]
    assert s.writes == []
    assert len(s.running) == 0


@virtual
async def test_a_transaction_that_was_never_asked_for_can_not_be_opened_afterwards(
    made: list[Transaction],
) -> None:
    s = Scene()
    await s.start(1)
    await s.end(0, DONE)
    assert made[0].log == ["abandon"]
    assert len(s.writes) == 1


@virtual
async def test_what_a_handler_that_did_not_succeed_wrote_is_rolled_back(made: list[Transaction]) -> None:
    s = Scene()
    outcomes: list[Outcome] = [Failed(BROKEN, final=True), Snoozed(timedelta()), Interrupted()]
    for at, outcome in enumerate(outcomes):
        await s.start(at)
        made[at].used = True
        await s.end(at, outcome)
        assert made[at].log == ["abandon"]
    assert [type(write) for write in s.writes] == [Failing, Return, Return]


@virtual
async def test_a_completion_whose_token_is_no_longer_ours_is_fenced(made: list[Transaction]) -> None:
    s = Scene()
    await s.start(1)
    made[0].used, made[0].ours = True, False
    await s.end(0, DONE)

    assert s.events.all == [Fenced(1)]
    assert s.writes == []
    assert made[0].log[-1] == "abandon"


def driver_error(sqlstate: str, kind: type[DBAPIError] = DBAPIError) -> DBAPIError:
    return kind("INSERT", {}, ServerSays(sqlstate))


@pytest.mark.parametrize(
    ("error", "write"),
    [
        (driver_error("23505", IntegrityError), "fails"),
        (driver_error("22P02"), "fails"),
        (driver_error("40001"), "fails"),
        (driver_error("55P03"), "goes back"),
        (ValueError("a flush of the user's models"), "fails"),
        (driver_error("42P01"), "fails"),
        (driver_error("57P01"), "goes back"),
        (driver_error("08006"), "goes back"),
        (ConnectionResetError(), "goes back"),
        (TimeoutError(), "goes back"),
    ],
    ids=lambda value: getattr(getattr(value, "orig", value), "sqlstate", type(value).__name__),
)
def test_unless_the_server_surely_refused_a_commit_the_try_goes_back_fenced(
    error: Exception, write: str, made: list[Transaction]
) -> None:
    @virtual
    async def scene() -> None:
        s = Scene()
        await s.start(1)
        made[0].used, made[0].fails = True, error
        await s.end(0, DONE)

        [found] = s.writes
        if write == "fails":
            assert isinstance(found, Failing)
            assert found.delay is not None
        else:
            assert found == Return(task_id(1), claim().token)
        assert made[0].log[-1] == "abandon"
        assert len(s.running) == 0

    scene()


@pytest.mark.parametrize(
    "error",
    [driver_error("55P03"), driver_error("57014"), driver_error("57P01"), ConnectionResetError()],
    ids=lambda value: getattr(getattr(value, "orig", value), "sqlstate", type(value).__name__),
)
def test_a_flush_that_fails_is_the_handlers_failure_as_any_statement_of_its_own(
    error: Exception, made: list[Transaction]
) -> None:
    @virtual
    async def scene() -> None:
        s = Scene()
        await s.start(1)
        made[0].used, made[0].flushed, made[0].fails = True, False, error
        await s.end(0, DONE)
        [found] = s.writes
        assert isinstance(found, Failing)

    scene()


@virtual
async def test_a_stop_that_comes_while_the_outcome_is_committed_changes_nothing(
    made: list[Transaction],
) -> None:
    s = Scene()
    await s.start(1)
    made[0].used = True
    s.ends[0].set_result(DONE)
    s.runs[0].stop(Stop.DRAIN)
    await settled()
    assert s.writes == []
    assert made[0].log[0] == Completion(task_id(1), claim().token, JsonText('"done"'))
