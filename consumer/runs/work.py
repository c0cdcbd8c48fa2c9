"""The life of one claim here: a run is made and executed, and what follows from its outcome is handed on.

Writes no row itself but through the handler's own transaction.
"""

from __future__ import annotations

import traceback
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol

from sluice.consumer.handlers.context import Context
from sluice.consumer.runs.quarantine import WAITS
from sluice.consumer.runs.running import Run, Stop
from sluice.consumer.runs.transaction import surely_refused
from sluice.consumer.runs.uncharged import Uncharged
from sluice.core.events import Fenced, GivenBack, StepFailed
from sluice.core.outcome import (
    Completion,
    Failed,
    Failure,
    Interrupted,
    Outcome,
    Reason,
    Return,
    Succeeded,
)
from sluice.core.retry import verdict
from sluice.core.telemetry.current import ATTEMPT

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from random import Random

    from sluice.consumer.handlers.registry import Registry
    from sluice.consumer.lease import Lease
    from sluice.consumer.runs.complete import Complete
    from sluice.consumer.runs.execute import Execute
    from sluice.consumer.runs.journal import Journal
    from sluice.consumer.runs.quarantine import Quarantine
    from sluice.consumer.runs.running import Running
    from sluice.consumer.runs.sessions import Sessions
    from sluice.consumer.runs.transaction import OwnTransaction
    from sluice.core.clock import Clock
    from sluice.core.events import Report
    from sluice.core.outcome import Write
    from sluice.core.task import Claim, ConsumerId, Kind

_AT_ONCE = timedelta()
_STOPPED = {
    Stop.CANCELED: Reason.CANCELED,
    Stop.TIMED_OUT: Reason.TIMED_OUT,
    Stop.DRAIN: Reason.DRAINING,
    Stop.LEASE: Reason.LEASE,
}


class HasSlots(Protocol):
    """Where handlers run, and who hears how long they took."""

    def occupy(self, n: int) -> None: ...
    def vacate(self) -> None: ...
    def took(self, seconds: float) -> None: ...


class Work:
    """Starts a run for each claim it is given; every claim ends as exactly one write."""

    def __init__(
        self,
        *,
        registry: Registry,
        execute: Execute,
        sessions: Sessions,
        complete: Complete,
        quarantine: Quarantine,
        running: Running,
        journal: Journal,
        capacity: HasSlots,
        lease: Lease,
        clock: Clock,
        random: Random,
        report: Report,
    ) -> None:
        self._registry = registry
        self._execute = execute
        self._sessions = sessions
        self._complete = complete
        self._quarantine = quarantine
        self._running = running
        self._journal = journal
        self._capacity = capacity
        self._lease = lease
        self._clock = clock
        self._random = random
        self._report = report
        self._uncharged = Uncharged(random)
        self.draining = False

    @property
    def kinds(self) -> Collection[Kind]:
        """What can be worked on here."""
        return self._registry.keys()

    def start(self, claims: Sequence[Claim], consumer: ConsumerId) -> None:
        """Start what was claimed under this id, each in a slot that was taken for it and is vacant, or give it back."""
        now, why_not = self._clock(), self.why_not(consumer)
        vacate = self._capacity.vacate
        self._capacity.occupy(len(claims))
        for claim in claims:
            run = Run(claim, now, consumer, vacate)
            if why_not is not None:
                self._return(run, why_not)
            elif not claim.suspected:
                self._running.start(run, self._live(run))
            elif (wait := self._quarantine.wait()) is not None:
                self._return(run, Reason.SUSPECT, wait)
            else:
                run.vacate = partial(self._vacate, run)
                self._quarantine.begin(run)
                self._running.start(run, self._live_suspected(run))

    def give_back(self, claims: Sequence[Claim], why: Reason) -> None:
        """Hand back what never had a slot."""
        self._report(GivenBack(len(claims), why=why))
        for claim in claims:
            self._complete.put(Return(claim.id, claim.token))

    def why_not(self, consumer: ConsumerId) -> Reason | None:
        """Return why nothing that `consumer` claimed may start now; None: it may (L3 trust, C3 drain)."""
        if self.draining:
            return Reason.DRAINING
        return None if self._lease.trusts(consumer) else Reason.LEASE

    def _may_not(self, run: Run) -> Reason | None:
        """Return the same for a run, which may have been stopped before it came here."""
        why_not = self.why_not(run.consumer)
        return _STOPPED[run.stop_reason] if why_not is None and run.stop_reason is not None else why_not

    def _return(self, run: Run, why: Reason, delay: timedelta = _AT_ONCE) -> None:
        """Give back a run that does not start: its slot is free again."""
        run.vacate()
        self._report(GivenBack(1, why=why))
        canceled = why is Reason.CANCELED
        self._complete.put(Return(run.claim.id, run.claim.token, delay, canceled=canceled))

    async def _live(self, run: Run) -> None:
        """Carry a run from its handler's first line to the outcome's place in the queue; every way out is one write.

        Check once more whether it may start: it may have been canceled before it came here, or a neighbour of the same
        claim has blocked the loop since `start` (L3 trust).
        """
        why_not = self._may_not(run)
        if why_not is not None:
            self._return(run, why_not)
        else:
            try:
                write = await self._write_of(run)
            except BaseException as error:  # noqa: BLE001 - a fault of ours, or what a handler left behind and cancels us
                self._report(StepFailed("work", reason=repr(error), traceback=traceback.format_exc()))
                write = None if run.left_behind else self._without_outcome(run, error, WAITS)
            if run.left_behind:
                return  # `_conclude` has ended it
            if write is not None:
                self._complete.put(write)
        self._running.remove(run)

    async def _live_suspected(self, run: Run) -> None:
        """Do the same once the suspect's name is written (U2 reap)."""
        why_not, delay = self._may_not(run), _AT_ONCE
        if why_not is None:
            why_not, delay = await self._quarantine.name(run), WAITS
        if why_not is None:
            await self._live(run)
            self._quarantine.left(run)
        else:
            self._return(run, why_not, delay)
            self._running.remove(run)

    def _vacate(self, run: Run) -> None:
        """Free the slot of a suspect: at last for a thread that was left behind when its time was over."""
        self._quarantine.ended(run)
        self._capacity.vacate()

    def _leave_behind(self, run: Run, outcome: Outcome) -> None:
        """Part with a handler that goes on although it was canceled: it keeps its slot, not its row (C2 slots)."""
        self._running.hand_over(run, self._conclude(run, outcome))

    async def _conclude(self, run: Run, outcome: Outcome) -> None:
        """Do what `_live` does at the end of a run, while its handler goes on.

        The row does not wait for the ROLLBACK, which may have to wait for a statement of the handler's.
        """
        self._complete.put(self._judge(run, outcome))
        self._quarantine.left(run)
        if run.transaction is not None:
            await run.transaction.abandon()
        self._running.remove(run)

    async def _write_of(self, run: Run) -> Write | None:
        """Execute the run; what is to be written then, None when the handler's own transaction wrote it."""
        handler = self._registry[run.claim.kind]
        context = Context(run, self._sessions, self._clock)
        # Not the context: with the task's variables in it that were a circle for the collector.
        ATTEMPT.set(run.claim)
        outcome = await self._execute(run, handler, context, self._leave_behind)
        if run.left_behind:
            return None
        self._capacity.took(self._clock() - run.started_at)
        transaction = run.transaction
        if transaction is not None:
            if transaction.used:
                return await self._end(transaction, run, outcome)
            await transaction.abandon()  # what a handler left running must not open it any more
        return self._judge(run, outcome)

    def _judge(self, run: Run, outcome: Outcome) -> Write:
        write = verdict(outcome, run.claim, random=self._random)
        self._journal.ended(run, outcome, write)
        return write

    async def _end(self, transaction: OwnTransaction, run: Run, outcome: Outcome) -> Write | None:
        """End the handler's transaction as the outcome says; None when that wrote the outcome (R6 session)."""
        if not isinstance(outcome, Succeeded):
            await transaction.abandon()
            return self._judge(run, outcome)
        write = Completion(run.claim.id, run.claim.token, outcome.result)
        try:
            if await transaction.complete(write):
                self._journal.ended(run, outcome, write)
            else:
                self._report(Fenced(1))
            self._uncharged.ended(write.id)
            return None
        except Exception as error:  # noqa: BLE001 - a flush of the user's models may raise anything
            if transaction.flushed and not surely_refused(transaction, error):
                return self._without_outcome(run, error, _AT_ONCE)
            return self._judge(run, Failed(Failure.of(error)))
        finally:
            await transaction.abandon()

    def _without_outcome(self, run: Run, error: BaseException, delay: timedelta) -> Write:
        """Give the attempt back uncharged, unless its task's have been too often in a row: then it counts as failed."""
        claim, pause = run.claim, self._uncharged.again(run.claim.id)
        if pause is None:
            return self._judge(run, Failed(self._uncharged.failure(error)))
        write = Return(claim.id, claim.token, max(pause, delay))
        self._journal.ended(run, Interrupted(), write)
        return write
