"""Stopping, as a list of sentences in order: senders before receivers, the beat last (C3)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from consumer.running import Stop
from core.errors import StoreUnavailable
from core.events import Drained, Draining
from db.claims import Return

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine

    from consumer.parts import Parts
    from core.events import Report
    from db.claims import Pending

LAST_ACTS = timedelta(milliseconds=600)
"""What is left after DRAIN_SECONDS for canceled handlers to end and for outcomes to be written."""
_BRIEFLY = 0.15
"""How long one answer is waited for, in seconds."""
_PATIENTLY = 1.0
"""The same for PostgreSQL's while the drain has time left: a slow commit is no outage."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a consumer stopped.

    `left`: rows that others must recover, among them `unsure` that a claim without an answer may have taken or not, and
    `locked` ones that somebody else holds; `threads`: handlers and beats that still run here; `clean`: PostgreSQL took
    the last words.
    """

    left: int
    threads: int
    clean: bool
    unsure: int = 0
    locked: int = 0

    @property
    def complaint(self) -> str:
        """What there is to say of one that is not clean."""
        many = f"{self.left - self.unsure} to {self.left}" if self.unsure else str(self.left)
        if 0 < self.left == self.locked:
            return f"somebody holds the rows of {many} tasks locked in PostgreSQL; other consumers will recover them"
        return f"PostgreSQL did not answer while stopping; other consumers will recover {many} tasks"


class Shutdown:
    """One drain. `forced` skips the waiting for handlers, and for a claim without an answer."""

    def __init__(
        self,
        parts: Parts,
        *,
        pull: asyncio.Task[None],
        schedule: asyncio.Task[None],
        complete: asyncio.Task[None],
        publish: asyncio.Task[None],
        drain: timedelta,
        forced: asyncio.Event,
        report: Report,
    ) -> None:
        self._parts = parts
        self._pull = pull
        self._schedule = schedule
        self._complete = complete
        self._publish = publish
        self._drain = drain.total_seconds()
        self._forced = forced
        self._report = report

    async def run(self) -> Ending:
        """Stop everything, in this order; over within the drain and LAST_ACTS, whatever hangs."""
        parts, deadline = self._parts, _now() + self._drain
        self._report(Draining(running=len(parts.running), deadline_seconds=self._drain))

        parts.work.draining = True
        parts.intake.request()
        parts.ahead.give_back("draining")
        await self._end_pull()
        for claiming in (self._pull, self._schedule):  # without Redis pull claims too
            await self._unless_forced(_ended(claiming), deadline)
            await _over(claiming, _BRIEFLY)
        await _done(parts.schedule.give_back("draining"), _BRIEFLY)
        await self._unless_forced(parts.running.idle(), deadline)

        end = _last_acts_end(deadline)
        parts.running.stop_all(Stop.DRAIN)
        await _done(parts.running.idle(), (end - _now()) / 2)
        parts.complete.close()
        if _now() < deadline:
            # A store that is away may come back in time: what handlers returned is worth the wait.
            await self._unless_forced(parts.complete.written(), deadline)
            end = _last_acts_end(deadline)
        await _over(self._complete, end - _now() - _BRIEFLY)
        asked = parts.gate.asked
        await self._break_off_claims()
        rest = await self._give_back_the_rest(self._patience(deadline))
        # A claim that was broken off may still be committed: only what the rows show of it is known to be back.
        unsure = max(0, asked - rest.claimed)
        # What is handed in after the writer has ended goes back with the rest.
        unwritten = 0 if rest.looked and parts.complete.ended else parts.complete.waiting
        left = unwritten + (rest.locked if rest.looked else len(parts.running)) + unsure
        silent = await _done(parts.beat.stop(), self._patience(deadline))
        clean = rest.looked and left == 0
        if clean:
            me = parts.lease.consumer
            clean = await _done(parts.consumers.unregister(me), self._patience(deadline))
        await self._publish_the_last()
        self._report(Drained(left=left))
        threads = parts.slots.busy
        locked = rest.locked + parts.complete.locked
        return Ending(left, threads if silent else threads + 1, clean, unsure, locked)

    async def _end_pull(self) -> None:
        """A pop in flight is asked to end; a server that does not answer is left (S2)."""
        ready = self._parts.ready
        if ready is None:
            return
        woken = await _done(ready.wake(), _BRIEFLY)
        await _over(self._pull, _BRIEFLY)
        await ready.cut()
        if woken:
            await _done(ready.forget_wake(), _BRIEFLY)
        await _over(self._pull, _BRIEFLY)

    async def _unless_forced(self, act: Coroutine[None, None, None], deadline: float) -> None:
        """Until `act` is done, the time is over or a second signal came."""
        async with asyncio.TaskGroup() as group:
            either = {group.create_task(act), group.create_task(self._forced_set())}
            left = max(0.0, deadline - _now())
            await asyncio.wait(either, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            for task in either:
                task.cancel()

    async def _forced_set(self) -> None:
        await self._forced.wait()

    async def _break_off_claims(self) -> None:
        """A claim that had no answer until here is broken off: what it took, the rows will say."""
        claiming = {task for task in (self._pull, self._schedule) if not task.done()}
        for task in claiming:
            task.cancel()
        if claiming:
            await asyncio.wait(claiming, timeout=_BRIEFLY)

    def _patience(self, deadline: float) -> float:
        """How long an answer of PostgreSQL's is waited for."""
        return max(_BRIEFLY, 0.0 if self._forced.is_set() else min(_PATIENTLY, deadline - _now()))

    async def _give_back_the_rest(self, seconds: float) -> _Rest:
        """What the rows still hold for this consumer goes back: handlers that did not end, claims without an answer."""
        rest = _Rest()
        if not await _done(self._return(rest), seconds) and not rest.locked:
            return _Rest()
        if rest.pending:
            self._parts.publisher.again(rest.pending)
        return rest

    async def _publish_the_last(self) -> None:
        """One try: these are hints."""
        self._parts.publisher.close()
        await _over(self._publish, _BRIEFLY)
        self._publish.cancel()

    async def _return(self, rest: _Rest) -> None:
        parts = self._parts
        held = await parts.claims.held(parts.lease.consumer) | parts.running.keys()
        if parts.lease.former is not None:
            # Declared dead, perhaps a moment ago: nobody may have looked since (L5).
            held |= await parts.claims.held(parts.lease.former)
        if not parts.complete.ended:
            held -= parts.complete.keys()
        if not held:
            rest.looked = True
            return
        # What somebody holds locked must not keep its neighbours here. It may be a COMMIT of ours, which is waited for.
        locked = await parts.claims.locked_among([task_id for task_id, _ in held])
        free = [Return(task_id, token) for task_id, token in held if task_id not in locked]
        if free:
            rest.pending += (await parts.claims.give_back(free)).pending
        rest.claimed = len({(back.id, back.token) for back in free} - parts.running.keys())
        rest.locked, rest.looked = len(locked), True
        if locked:
            waiting = [Return(task_id, token) for task_id, token in held if task_id in locked]
            rest.pending += (await parts.claims.give_back(waiting)).pending
            rest.claimed += len({(back.id, back.token) for back in waiting} - parts.running.keys())
            rest.locked = 0


@dataclass(slots=True)
class _Rest:
    """What became of the rows that were still held. `looked`: whether PostgreSQL said which, and took the free ones."""

    pending: list[Pending] = field(default_factory=list)
    claimed: int = 0
    locked: int = 0
    looked: bool = False


def _last_acts_end(deadline: float) -> float:
    """When the last acts are over that begin now."""
    return max(min(deadline, _now()) + LAST_ACTS.total_seconds(), _now() + 2 * _BRIEFLY)


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _ended(task: asyncio.Task[None]) -> None:
    """Until a task has ended. Canceling this does not cancel it."""
    await asyncio.wait({task})


async def _over(task: asyncio.Task[None], seconds: float) -> None:
    """Wait for a task, without canceling it."""
    await asyncio.wait({task}, timeout=max(seconds, 0.0))


async def _done(act: Awaitable[object], seconds: float) -> bool:
    """Whether `act` came to its end in `seconds`."""
    try:
        async with asyncio.timeout(max(seconds, 0.0)):
            await act
    except (TimeoutError, StoreUnavailable):
        return False
    return True
