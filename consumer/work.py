"""The life of one claim here: a run is made, executed, judged, and its outcome handed on.

Writes no row itself but through the handler's own transaction.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol, assert_never

from consumer.context import Context
from consumer.registry import Mode
from consumer.running import Run
from consumer.suspects import WAITS, Suspects, suspected
from consumer.transaction import Transaction
from core.errors import StoreUnavailable
from core.events import Fenced, GivenBack, StepFailed, TryFailed
from core.outcome import Failed, Failure, Outcome, Succeeded
from core.retry import FailForGood, GiveBack, RetryLater, verdict
from db.claims import Completion, Failing, Return
from db.faults import SURELY_ROLLED_BACK, from_postgresql, sqlstate

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from random import Random

    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

    from consumer.complete import Complete, Write
    from consumer.execute import Execute
    from consumer.lease import Lease
    from consumer.registry import Handler, Registry
    from consumer.running import Running
    from consumer.slots import Slots
    from consumer.suspects import NamesSuspects
    from core.clock import Clock
    from core.events import Report
    from core.task import Claim, ConsumerId, Kind


_LOOP = Mode.LOOP  # as in Execute


class OwnTransaction(Protocol):
    """The handler's own transaction, as Transaction keeps it (R6)."""

    @property
    def used(self) -> bool: ...
    @property
    def flushed(self) -> bool: ...
    async def open(self) -> AsyncSession: ...
    async def complete(self, done: Completion) -> bool: ...
    async def abandon(self) -> None: ...


MakesTransaction = Callable[["AsyncEngine", float, float], OwnTransaction]
"""From the engine behind ctx.session(), the task's timeout, and how long a ROLLBACK may take, both in seconds.

A run that was stopped for its lease must be gone before the margin is over (L3).
"""


class Work:
    """Starts a run for each claim it is given; every claim ends as exactly one write."""

    def __init__(
        self,
        *,
        registry: Registry,
        execute: Execute,
        complete: Complete,
        consumers: NamesSuspects,
        running: Running,
        slots: Slots,
        lease: Lease,
        engine: AsyncEngine,
        pace: Callable[[float], None],
        clock: Clock,
        random: Random,
        report: Report,
        transaction: MakesTransaction | None = None,
    ) -> None:
        self._registry = registry
        self._execute = execute
        self._complete = complete
        self._running = running
        self._slots = slots
        self._lease = lease
        self._engine = engine
        self._pace = pace
        self._clock = clock
        self._random = random
        self._report = report
        self._make_transaction = transaction or Transaction
        self._suspects = Suspects(consumers=consumers, clock=clock, random=random, report=report)
        self.draining = False

    @property
    def kinds(self) -> Collection[Kind]:
        """What can be worked on here."""
        return self._registry.keys()

    def start(self, claims: Sequence[Claim]) -> None:
        """Start each of them in the slot that was taken for it; those that must not start are given back."""
        consumer, now = self._lease.consumer, self._clock()
        why_not = self._why_not(consumer)
        for claim in claims:
            suspect = suspected(claim)
            if why_not is not None:
                self._return(claim, timedelta(), why_not)
            elif suspect and (wait := self._suspects.wait()) is not None:
                self._return(claim, wait, "another suspect is running")
            else:
                run = Run(claim, now, consumer)
                if suspect:
                    self._suspects.begin(run)
                self._running.start(run, self._live(run, consumer))

    def _why_not(self, consumer: ConsumerId) -> str | None:
        """Why nothing that `consumer` claimed may start now; None: it may (L3, C3)."""
        if self.draining:
            return "draining"
        return None if self._lease.trusted and self._lease.consumer == consumer else "lease not trusted"

    def _return(self, claim: Claim, delay: timedelta, why: str) -> None:
        self._complete.put(self._unstarted(claim, delay, why))

    def _unstarted(self, claim: Claim, delay: timedelta, why: str) -> Return:
        """Its slot is free again; what is to be written."""
        self._slots.release()
        self._report(GivenBack(1, why=why))
        return Return(claim.id, claim.token, delay)

    async def _live(self, run: Run, consumer: ConsumerId) -> None:
        """From the handler's first line to the outcome's place in the queue; every way out hands on one write.

        It looks once more: a neighbour of the same claim may have blocked the loop since `start` looked (L3).
        """
        try:
            why_not, delay = self._why_not(consumer), timedelta()
            if why_not is None and run in self._suspects:
                why_not = await self._suspects.name(run, consumer)
                why_not, delay = (self._why_not(consumer), delay) if why_not is None else (why_not, WAITS)
            if why_not is not None:
                write: Write | None = self._unstarted(run.claim, delay, why_not)
                self._suspects.ended(run)
            else:
                write = await self._write_of(run)
        except BaseException as error:  # noqa: BLE001 - a fault of ours, or what a handler left behind and cancels us
            self._report(StepFailed("work", reason=repr(error), traceback=traceback.format_exc()))
            write = Return(run.claim.id, run.claim.token, WAITS)
        if write is not None:
            self._complete.put(write)
        self._suspects.left(run)
        self._running.remove(run)

    def _vacate(self, run: Run) -> None:
        """Its handler is out of the way: at last for a thread that was left behind when its time was over."""
        self._suspects.ended(run)
        self._slots.release()

    async def _write_of(self, run: Run) -> Write | None:
        """Execute the run and judge its outcome; None when the handler's own transaction wrote it."""
        claim = run.claim
        handler = self._registry[claim.kind]
        transaction = self._transaction(handler, claim)
        context = Context(run, transaction, self._clock)
        vacate = self._slots.release if run not in self._suspects else partial(self._vacate, run)
        outcome = await self._execute(run, handler, context, vacate)
        self._pace(self._clock() - run.started_at)
        if transaction is not None:
            if transaction.used:
                return await self._end(transaction, outcome, claim)
            await transaction.abandon()  # what a handler left running must not open it any more
        return self._judge(outcome, claim)

    def _transaction(self, handler: Handler, claim: Claim) -> OwnTransaction | None:
        if handler.mode is not _LOOP:
            return None
        return self._make_transaction(self._engine, claim.timeout, self._lease.margin / 2)

    def _judge(self, outcome: Outcome, claim: Claim) -> Write:
        """The write that follows from the outcome."""
        if isinstance(outcome, Succeeded):
            return Completion(claim.id, claim.token, outcome.result)
        judged = verdict(outcome, attempt=claim.attempt, max_attempts=claim.max_attempts, random=self._random)
        match judged:
            case RetryLater(failure, delay):
                return Failing(claim.id, claim.token, failure, delay)
            case FailForGood(failure):
                return Failing(claim.id, claim.token, failure, None)
            case GiveBack(delay):
                return Return(claim.id, claim.token, delay)
            case _:
                assert_never(judged)

    async def _end(self, transaction: OwnTransaction, outcome: Outcome, claim: Claim) -> Write | None:
        """End the handler's transaction as the outcome says; None when that wrote the outcome (R6)."""
        judged = self._judge(outcome, claim)
        if not isinstance(outcome, Succeeded) or not isinstance(judged, Completion):
            await transaction.abandon()
            return judged
        try:
            if not await transaction.complete(judged):
                self._report(Fenced(1))
            return None
        except Exception as error:  # noqa: BLE001 - a flush of the user's models may raise anything
            surely_refused = (sqlstate(error) or "").startswith(SURELY_ROLLED_BACK)
            ours = transaction.flushed and isinstance(from_postgresql(error), StoreUnavailable)
            if ours and not surely_refused:
                return Return(claim.id, claim.token)
            failure = Failure.of(error)
            told = (
                f"{failure.type}: {failure.message.splitlines()[0][:200]}"
                if failure.message
                else failure.type
            )
            self._report(TryFailed(task=str(claim.id), kind=claim.kind, attempt=claim.attempt, error=told))
            return self._judge(Failed(failure), claim)
        finally:
            await transaction.abandon()
