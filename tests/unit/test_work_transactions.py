from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError

from sluice.consumer.handlers.registry import Mode
from sluice.consumer.runs.running import Stop
from sluice.consumer.runs.uncharged import FREE
from sluice.core.events import Fenced
from sluice.core.outcome import Canceled, Completion, Failed, Failing, Interrupted, Outcome, Return, Snoozed
from sluice.core.task import JsonText, Kind
from tests.unit.support import claim, settled, task_id, virtual
from tests.unit.working import BROKEN, DONE, Scene, ServerSays, Transaction


@virtual
async def test_only_a_handler_on_the_loop_has_a_transaction_and_only_once_it_asks(
    made: list[Transaction],
) -> None:
    s = Scene()
    for mode in Mode:
        await s.start(1, kind=Kind(mode.name), timeout=7.0)
    assert made == []

    on_loop, *others = s.contexts
    opened: list[object] = [await on_loop.session(), await on_loop.session()]
    assert opened == [made[0], made[0]]
    assert [(transaction.engine, transaction.limit) for transaction in made] == [("engine", 7.0)]
    with ThreadPoolExecutor(1) as elsewhere:
        for ctx in others:
            with pytest.raises(RuntimeError, match="for `async def` handlers only"):
                elsewhere.submit(asyncio.run, ctx.session()).result()
    for at in range(3):
        await s.end(at, DONE)


@virtual
async def test_the_outcome_of_a_handler_that_used_its_session_is_written_there(
    made: list[Transaction],
) -> None:
    s = Scene()
    await s.start_with_session(1)
    await s.end(0, DONE)

    assert made[0].log == [Completion(task_id(1), claim().token, JsonText('"done"')), "abandon"]
    assert s.writes == []
    assert len(s.running) == 0


@virtual
async def test_a_handler_that_is_left_behind_loses_its_transaction_at_once(
    made: list[Transaction],
) -> None:
    s = Scene()
    transaction = await s.start_with_session(1)
    s.leave(s.runs[0], Canceled())
    await settled()

    assert transaction.log == ["abandon"]
    assert s.writes == [Return(task_id(1), claim().token, canceled=True)]

    await s.end(0, DONE)
    assert transaction.log == ["abandon"]
    assert len(s.writes) == 1


@virtual
async def test_a_session_that_was_never_asked_for_can_not_be_opened_afterwards(
    made: list[Transaction],
) -> None:
    s = Scene()
    await s.start(1)
    await s.end(0, DONE)
    with pytest.raises(RuntimeError, match="this run has ended"):
        await s.contexts[0].session()
    assert made == []
    assert len(s.writes) == 1


@virtual
async def test_a_transaction_that_is_still_being_opened_when_the_handler_ends_is_abandoned(
    made: list[Transaction],
) -> None:
    s = Scene()
    transaction = await s.start_with_session(1)
    transaction.used = False
    await s.end(0, DONE)
    assert transaction.log == ["abandon"]
    assert len(s.writes) == 1


@virtual
async def test_what_a_handler_that_did_not_succeed_wrote_is_rolled_back(made: list[Transaction]) -> None:
    s = Scene()
    outcomes: list[Outcome] = [Failed(BROKEN, final=True), Snoozed(timedelta()), Interrupted()]
    for at, outcome in enumerate(outcomes):
        await s.start_with_session(at)
        await s.end(at, outcome)
        assert made[at].log == ["abandon"]
    assert [type(write) for write in s.writes] == [Failing, Return, Return]


@virtual
async def test_a_completion_whose_token_is_no_longer_ours_is_fenced(made: list[Transaction]) -> None:
    s = Scene()
    (await s.start_with_session(1)).ours = False
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
        (await s.start_with_session(1)).fails = error
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
        transaction = await s.start_with_session(1)
        transaction.flushed, transaction.fails = False, error
        await s.end(0, DONE)
        [found] = s.writes
        assert isinstance(found, Failing)

    scene()


@pytest.mark.parametrize(
    "error",
    [driver_error("55P03"), driver_error("57014"), driver_error("P0001"), driver_error("53100")],
    ids=lambda value: value.orig.sqlstate,
)
def test_a_commit_that_the_server_refuses_is_charged_whatever_the_reason(
    error: Exception, made: list[Transaction]
) -> None:
    """A deferred trigger may raise anything, and would be tried for ever."""

    @virtual
    async def scene() -> None:
        s = Scene()
        transaction = await s.start_with_session(1)
        transaction.committing, transaction.fails = True, error
        await s.end(0, DONE)
        [found] = s.writes
        assert isinstance(found, Failing)

    scene()


@pytest.mark.parametrize("error", [driver_error("57P01"), ConnectionResetError(), TimeoutError()])
def test_a_task_whose_every_commit_is_lost_is_charged_after_a_few_and_ends(
    error: Exception, made: list[Transaction]
) -> None:
    @virtual
    async def scene() -> None:
        s = Scene()
        for at in range(FREE + 1):
            transaction = await s.start_with_session(1)
            transaction.committing, transaction.fails = True, error
            await s.end(at, DONE)
        *free, charged = s.writes
        assert all(isinstance(write, Return) for write in free)
        pauses = [write.delay.total_seconds() for write in free if isinstance(write, Return)]
        assert pauses[0] == 0
        assert all(0 < pause <= 2**n for n, pause in enumerate(pauses[1:]))
        assert isinstance(charged, Failing)
        assert charged.failure.type == "NoOutcome"
        assert "tries in a row ended without an outcome" in charged.failure.message

    scene()


@virtual
async def test_a_commit_that_is_taken_gives_a_task_its_uncharged_tries_back(made: list[Transaction]) -> None:
    s = Scene()
    for at in range(2 * FREE):
        transaction = await s.start_with_session(1)
        if at != FREE - 1:
            transaction.fails = ConnectionResetError()
        await s.end(at, DONE)
    assert len(s.writes) == 2 * FREE - 1
    assert all(isinstance(write, Return) for write in s.writes)


@virtual
async def test_a_stop_that_comes_while_the_outcome_is_committed_changes_nothing(
    made: list[Transaction],
) -> None:
    s = Scene()
    await s.start_with_session(1)
    s.ends[0].set_result(DONE)
    s.runs[0].stop(Stop.DRAIN)
    await settled()
    assert s.writes == []
    assert made[0].log[0] == Completion(task_id(1), claim().token, JsonText('"done"'))
