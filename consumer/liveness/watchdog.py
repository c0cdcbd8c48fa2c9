"""What the heartbeat's thread sees of the main loop, and when that is reason to end the process (L3 trust)."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Protocol

from sluice.core.events import LoopStalled

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from sluice.consumer.lease import Lease
    from sluice.consumer.pulse import Pulse
    from sluice.consumer.runs.running import Run
    from sluice.core.clock import Clock
    from sluice.core.events import Report
    from sluice.core.task import ConsumerId, RunKey

STALL_REPORTED_SECONDS = 5.0
STALL_ENDS_AFTER_LEASES = 10
_NAMED = 10


class KnowsRuns(Protocol):
    """Who knows what runs here. Asked on the heartbeat's thread."""

    def keys(self) -> set[RunKey]: ...
    def keys_of_others(self, consumer: ConsumerId) -> set[RunKey]: ...
    def runs(self) -> Collection[Run]: ...


class Watchdog:
    """Ends a process that can no longer keep the rules. Claims nothing, runs no handler."""

    def __init__(
        self,
        *,
        lease: Lease,
        running: KnowsRuns,
        end_process: Callable[[str], None],
        pulse: Pulse,
        clock: Clock,
        report: Report,
    ) -> None:
        self._lease = lease
        self._running = running
        self._end_process = end_process
        self._clock = clock
        self._report = report
        self._main_thread = threading.get_ident()
        self._pulse = pulse
        self._stall_reported = False
        self._distrusted_at: float | None = None
        self._condemned: set[RunKey] = set()

    def check(self) -> None:
        """Check the loop and the handlers; called on the heartbeat's thread."""
        self._check_loop()
        self._check_handlers()

    def _check_loop(self) -> None:
        """Report a loop that stands still once, with what holds it; end the process after ten leases."""
        stalled = self._clock() - self._pulse.last
        if stalled < STALL_REPORTED_SECONDS:
            self._stall_reported = False
        elif not self._stall_reported:
            self._stall_reported = True
            self._report(
                LoopStalled(seconds=round(stalled, 1), stack=self._main_stack(), tasks=self._at_fault())
            )
        if stalled > STALL_ENDS_AFTER_LEASES * self._lease.duration:
            self._end_process("the event loop stood still for ten leases")

    def _check_handlers(self) -> None:
        """End a process whose handlers are still there a margin after the trust ended: others may run their tasks.

        After a sleep of the machine the beat may come first, and this check find a new id that is trusted already: the
        runs of the former one are condemned all the same.
        """
        trusted, late = self._lease.trusted, self._running.keys_of_others(self._lease.consumer)
        if trusted and not self._condemned and not late:
            self._distrusted_at = None
            return
        if self._distrusted_at is None:
            self._distrusted_at = self._clock()
            self._condemned = late if trusted else self._running.keys()
        self._condemned &= self._running.keys()
        if self._condemned and self._clock() - self._distrusted_at > self._lease.margin:
            self._end_process("handlers outlived the lease")

    def _at_fault(self) -> tuple[str, ...]:
        """Return the task whose handler holds the loop, or some that run while it is one that they have started."""
        runs = [run for run in self._running.runs() if run.task is not None]
        holding = [run for run in runs if _holds_its_loop(run.task)]
        return tuple(f"{run.claim.kind} {run.claim.id}" for run in (holding or runs)[:_NAMED])

    def _main_stack(self) -> str:
        frame = sys._current_frames().get(self._main_thread)  # noqa: SLF001 - documented, for all its underscore
        return "".join(traceback.format_stack(frame, limit=12)) if frame is not None else ""


def _holds_its_loop(task: asyncio.Task[None] | None) -> bool:
    """Say so, from any thread."""
    return task is not None and asyncio.current_task(task.get_loop()) is task
