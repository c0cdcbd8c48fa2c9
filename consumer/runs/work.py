"""The life of one claim here: a run is made, executed, judged, and its outcome handed on.

Writes no row itself but through the handler's own transaction.
"""

from __future__ import annotations

import traceback
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, assert_never

from sluice.consumer.handlers.context import Context
from sluice.consumer.runs.running import Run
from sluice.consumer.runs.quarantine import WAITS, suspected
from sluice.consumer.runs.uncharged import Uncharged
from sluice.core.errors import StoreUnavailable
from sluice.core.events import Fenced, GivenBack, StepFailed, TryFailed
from sluice.core.outcome import Failed, Failure, Outcome, Succeeded
from sluice.core.retry import FailForGood, GiveBack, RetryLater, verdict
from sluice.db.claims import Completion, Failing, Return
from sluice.db.faults import SURELY_ROLLED_BACK, from_postgresql, rolled_back, sqlstate

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from random import Random

    from sluice.consumer.runs.complete import Complete, Write
    from sluice.consumer.runs.execute import Execute
    from sluice.consumer.lease import Lease
    from sluice.consumer.handlers.registry import Registry
    from sluice.consumer.runs.running import Running
    from sluice.consumer.runs.sessions import Sessions
    from sluice.consumer.intake.slots import Slots
    from sluice.consumer.runs.quarantine import Suspects
    from sluice.consumer.runs.transaction import OwnTransaction
    from sluice.core.clock import Clock
    from sluice.core.events import Report
    from sluice.core.task import Claim, ConsumerId, Kind


_AT_ONCE = timedelta()


class Work:
    """Starts a run for each claim it is given; every claim ends as exactly one write."""

    def __init__(
        self,
        *,
        registry: Registry,
        execute: Execute,
        sessions: Sessions,
        complete: Complete,
        suspects: Suspects,
        running: Running,
        slots: Slots,
        lease: Lease,
        pace: Callable[[float], None],
        clock: Clock,
        random: Random,
        report: Report,
    ) -> None:
        self._registry = registry
        self._execute = execute
        self._sessions = sessions
        self._complete = complete
        self._running = running
        self._slots = slots
        self._lease = lease
        self._pace = pace
        self._clock = clock
        self._random = random
        self._report = report
        self._suspects = suspects
        self._uncharged = Uncharged(random)
        self.draining = False

    @property
    def kinds(self) -> Collection[Kind]:
        """What can be worked on here."""
        return self._registry.keys()

    def start(self, claims: Sequence[Claim], consumer: ConsumerId) -> None:
        """Start what was claimed under this id, each in a slot that was taken for it and is vacant, or give it back."""
        now, why_not = self._clock(), self.why_not(consumer)
        self._slots.occupy(len(claims))
        for claim in claims:
            if why_not is not None:
                self._return(claim, why_not, self._slots.vacate)
            elif not suspected(claim):
                run = Run(claim, now, consumer)
                self._running.start(run, self._live(run, self._slots.vacate))
            elif (wait := self._suspects.wait()) is not None:
                self._return(claim, "another suspect is running", self._slots.vacate, wait)
            else:
                run = Run(claim, now, consumer)
                self._suspects.begin(run)
                self._running.start(run, self._live_suspected(run))

    def give_back(self, claims: Sequence[Claim], why: str) -> None:
        """Hand back what never had a slot."""
        self._report(GivenBack(len(claims), why=why))
        for claim in claims:
            self._complete.put(Return(claim.id, claim.token))

    def why_not(self, consumer: ConsumerId) -> str | None:
        """Why nothing that `consumer` claimed may start now; None: it may (L3, C3)."""
        if self.draining:
            return "draining"
        return None if self._lease.trusted and self._lease.consumer == consumer else "lease not trusted"

    def _may_not(self, run: Run) -> str | None:
        """The same for a run, which may have been stopped before it came here."""
        why_not = self.why_not(run.consumer)
        return run.stop_reason.value if why_not is None and run.stop_reason is not None else why_not

    def _return(
        self, claim: Claim, why: str, vacate: Callable[[], None], delay: timedelta = _AT_ONCE
    ) -> None:
        """It does not start: its slot is free again, and the try goes back."""
        vacate()
        self._report(GivenBack(1, why=why))
        self._complete.put(Return(claim.id, claim.token, delay))

    async def _live(self, run: Run, vacate: Callable[[], None]) -> None:
        """From the handler's first line to the outcome's place in the queue; every way out hands on one write.

        It looks once more: it may have been canceled before it came here, or a neighbour of the same claim has blocked
        the loop since `start` looked (L3).
        """
        claim = run.claim
        why_not = self._may_not(run)
        if why_not is not None:
            self._return(claim, why_not, vacate)
        else:
            try:
                write = await self._write_of(run, vacate)
            except BaseException as error:  # noqa: BLE001 - a fault of ours, or what a handler left behind and cancels us
                self._report(StepFailed("work", reason=repr(error), traceback=traceback.format_exc()))
                write = self._without_outcome(claim, error, WAITS)
            if run.left_behind:
                return  # `_conclude` has ended it
            if write is not None:
                self._complete.put(write)
        self._running.remove(run)

    def _leave_behind(self, run: Run, outcome: Outcome) -> None:
        """Its handler goes on although it was canceled: it keeps its slot, and no longer its row (C2)."""
        self._running.hand_over(run, self._conclude(run, outcome))

    async def _conclude(self, run: Run, outcome: Outcome) -> None:
        """What `_live` does at the end of a run, while its handler goes on.

        The row does not wait for the ROLLBACK, which may have to wait for a statement of the handler's.
        """
        self._complete.put(self._judge(outcome, run.claim))
        self._suspects.left(run)
        if run.transaction is not None:
            await run.transaction.abandon()
        self._running.remove(run)

    async def _live_suspected(self, run: Run) -> None:
        """The same once its name is written (U2)."""
        vacate = partial(self._vacate, run)
        why_not, delay = self._may_not(run), _AT_ONCE
        if why_not is None:
            why_not, delay = await self._suspects.name(run, run.consumer), WAITS
        if why_not is None:
            await self._live(run, vacate)
            self._suspects.left(run)
        else:
            self._return(run.claim, why_not, vacate, delay)
            self._running.remove(run)

    def _vacate(self, run: Run) -> None:
        """Its handler is out of the way: at last for one that was left behind when its time was over."""
        self._suspects.ended(run)
        self._slots.vacate()

    async def _write_of(self, run: Run, vacate: Callable[[], None]) -> Write | None:
        """Execute the run and judge its outcome; None when the handler's own transaction wrote it."""
        claim = run.claim
        handler = self._registry[claim.kind]
        context = Context(run, self._sessions, self._clock)
        outcome = await self._execute(run, handler, context, vacate, self._leave_behind)
        if run.left_behind:
            return None
        self._pace(self._clock() - run.started_at)
        transaction = run.transaction
        if transaction is not None:
            if transaction.used:
                return await self._end(transaction, outcome, claim)
            await transaction.abandon()  # what a handler left running must not open it any more
        return self._judge(outcome, claim)

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
            self._uncharged.ended(claim.id)
            return None
        except Exception as error:  # noqa: BLE001 - a flush of the user's models may raise anything
            if transaction.flushed and not _surely_refused(transaction, error):
                return self._without_outcome(claim, error, _AT_ONCE)
            return self._charge(claim, Failure.of(error))
        finally:
            await transaction.abandon()

    def _without_outcome(self, claim: Claim, error: BaseException, delay: timedelta) -> Write:
        """The try goes back uncharged, unless its task's have too often in a row: then it counts as failed."""
        pause = self._uncharged.again(claim.id)
        if pause is not None:
            return Return(claim.id, claim.token, max(pause, delay))
        return self._charge(claim, self._uncharged.failure(error))

    def _charge(self, claim: Claim, failure: Failure) -> Write:
        """The try failed after its handler had returned."""
        first, _, _ = failure.message.partition("\n")
        told = f"{failure.type}: {first[:200]}" if first else failure.type
        self._report(TryFailed(task=str(claim.id), kind=claim.kind, attempt=claim.attempt, error=told))
        return self._judge(Failed(failure), claim)


def _surely_refused(transaction: OwnTransaction, error: Exception) -> bool:
    """Whether the server has said that nothing of the transaction took effect, for the handler's own doing."""
    if not isinstance(from_postgresql(error), StoreUnavailable):
        return True
    said = (sqlstate(error) or "").startswith(SURELY_ROLLED_BACK)
    return said or (transaction.committing and rolled_back(error))
