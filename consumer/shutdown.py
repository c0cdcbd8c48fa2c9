"""Stopping, as a list of sentences in order: senders before receivers, the heartbeat last (C3 drain)."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sluice.consumer.remains import Remains
from sluice.consumer.runs.running import Stop
from sluice.core.errors import SluiceError
from sluice.core.events import Drained, Draining
from sluice.core.outcome import Reason
from sluice.core.waiting import unless

if TYPE_CHECKING:
    from collections.abc import Awaitable, Collection, Coroutine

    from sluice.consumer.parts import Consumer
    from sluice.core.events import Report

LAST_ACTS = timedelta(milliseconds=800)
"""What is left after DRAIN_SECONDS for canceled handlers to end and for last words. The process ends in what remains
of that second."""
_LAST_WORDS = 0.3
"""Seconds of it for what follows the writing of outcomes."""
_BRIEFLY = 0.15
"""How long one answer is waited for, in seconds, if those that follow have as much."""
_PATIENTLY = 1.0
"""The same for PostgreSQL's while the drain has time left: a slow commit is no outage."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a consumer stopped.

    `left`: rows that others must recover, among them `unsure` that a claim without an answer may have taken or not,
    `locked` ones that somebody else holds, and `refused` ones that PostgreSQL does not take back; `threads`: handlers
    and beats that still run here; `clean`: PostgreSQL took the last words.
    """

    left: int
    threads: int
    clean: bool
    unsure: int = 0
    locked: int = 0
    refused: int = 0

    @property
    def complaint(self) -> str:
        """What there is to say of one that is not clean."""
        many = f"{self.left - self.unsure} to {self.left}" if self.unsure else str(self.left)
        if 0 < self.left == self.locked:
            return f"somebody holds the rows of {many} tasks locked in PostgreSQL; other consumers will recover them"
        if 0 < self.left == self.locked + self.refused:
            return f"PostgreSQL does not take the rows of {many} tasks back, the log says why; other consumers will try"
        return f"PostgreSQL did not answer while stopping; other consumers will recover {many} tasks"


class Shutdown:
    """One drain. `forced` skips the waiting for handlers, and for a claim without an answer."""

    def __init__(
        self,
        consumer: Consumer,
        *,
        pull: asyncio.Task[None],
        schedule: asyncio.Task[None],
        complete: asyncio.Task[None],
        publish: asyncio.Task[None],
        drain: timedelta,
        forced: asyncio.Event,
        report: Report,
    ) -> None:
        self._consumer = consumer
        self._pull = pull
        self._schedule = schedule
        self._complete = complete
        self._publish = publish
        self._drain = drain.total_seconds()
        self._forced = forced
        self._report = report
        self._deadline = self._end = math.inf

    async def run(self) -> Ending:
        """Stop everything; over within the drain and LAST_ACTS, or LAST_ACTS after a second signal, whatever hangs."""
        self._deadline = _now() + self._drain
        self._end = self._deadline + LAST_ACTS.total_seconds()
        async with asyncio.TaskGroup() as group:
            hurrying = group.create_task(self._hurry())
            ending = await self._stop_in_order()
            hurrying.cancel()
        return ending

    async def _hurry(self) -> None:
        """Have as much time from a second signal on as after the drain."""
        await self._forced.wait()
        self._end = min(self._end, _now() + LAST_ACTS.total_seconds())

    async def _stop_in_order(self) -> Ending:
        consumer, runs, intake = self._consumer, self._consumer.runs, self._consumer.intake
        self._report(Draining(running=len(runs.running), deadline_seconds=self._drain))

        runs.work.draining = True
        consumer.stops.intake.request()
        intake.prefetch.give_back(Reason.DRAINING)
        await self._end_pull()
        claiming = {self._pull, self._schedule}  # without Redis pull claims too
        await self._unless_forced(_over(claiming))
        await _over(claiming, self._share(1, of=8))
        await _done(intake.schedule.give_back(Reason.DRAINING), self._share(1, of=7))
        await self._unless_forced(runs.running.idle())

        runs.running.stop_all(Stop.DRAIN)
        await _done(runs.running.idle(), (self._left() - _LAST_WORDS) / 2)
        runs.complete.close()
        if _now() < self._deadline:
            # A store that is away may come back in time: what handlers returned is worth the wait.
            await self._unless_forced(runs.complete.written())
        await _over({self._complete}, self._left() - _LAST_WORDS)
        asked = intake.claimer.asked
        await self._break_off_claims()
        rest = Remains(consumer, self._report)
        await _done(rest.give_back(), self._time_for(2, of=5))
        if rest.pending:
            consumer.stores.publisher.again(rest.pending)
        # A claim that was broken off may still be committed: only what the rows show of it is known to be back.
        unsure = max(0, asked - rest.claimed)
        # What is handed in after the writer has ended goes back with the rest.
        unwritten = 0 if rest.looked and runs.complete.ended else runs.complete.waiting
        kept = rest.locked + rest.refused if rest.looked else len(runs.running.keys() - rest.back)
        left = unwritten + kept + unsure
        silent = await _done(consumer.liveness.heartbeat.stop(), self._time_for(1, of=3))
        clean = rest.looked and left == 0
        if clean:
            me = consumer.lease.consumer
            clean = await _done(consumer.stores.consumers.unregister(me), self._time_for(1, of=2))
        await self._publish_the_last()
        self._report(Drained(left=left))
        threads = consumer.capacity.busy
        locked = rest.locked + runs.complete.locked
        return Ending(left, threads if silent else threads + 1, clean, unsure, locked, rest.refused)

    async def _end_pull(self) -> None:
        """Ask a pop in flight to end; a server that does not answer is left (S2 clients)."""
        ready = self._consumer.stores.ready
        if ready is None:
            return
        woken = await _done(ready.wake(), self._share(1, of=10))
        if woken:
            await _over({self._pull}, self._share(1, of=10))
        await ready.cut()
        if woken:
            await _done(ready.forget_wake(), self._share(1, of=10))
        await _over({self._pull}, self._share(1, of=9))

    async def _unless_forced(self, act: Coroutine[None, None, None]) -> None:
        """Wait until `act` is done, the time is over or a second signal came."""
        await unless(self._forced, act, max(0.0, self._deadline - _now()))

    def _left(self) -> float:
        """Return the seconds until all must be over."""
        return max(0.0, self._end - _now())

    def _share(self, parts: int, *, of: int) -> float:
        """Return how long an act may take that is worth so many parts `of` what is still to be done."""
        return parts * min(_BRIEFLY, self._left() / of)

    def _time_for(self, parts: int, *, of: int) -> float:
        """Return the same where PostgreSQL is to answer, which may take longer while the drain has time."""
        spare = 0.0 if self._forced.is_set() else min(_PATIENTLY, self._deadline - _now())
        return max(self._share(parts, of=of), spare)

    async def _break_off_claims(self) -> None:
        """Break off a claim that had no answer until here: what it took, the rows will say."""
        claiming = {task for task in (self._pull, self._schedule) if not task.done()}
        for task in claiming:
            task.cancel()
        await _over(claiming, self._share(1, of=6))

    async def _publish_the_last(self) -> None:
        """Publish what waits, in one try: these are hints."""
        self._consumer.stores.publisher.close()
        await _over({self._publish}, self._share(1, of=1))
        self._publish.cancel()


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _over(tasks: Collection[asyncio.Task[None]], seconds: float | None = None) -> None:
    """Wait until these tasks have ended, or for that long, without canceling them."""
    if tasks:
        await asyncio.wait(tasks, timeout=None if seconds is None else max(seconds, 0.0))


async def _done(act: Awaitable[object], seconds: float) -> bool:
    """Whether `act` came to its end in `seconds`; what a store refuses does not."""
    try:
        async with asyncio.timeout(max(seconds, 0.0)):
            await act
    except (TimeoutError, SluiceError):
        return False
    return True
