"""The heartbeat: the beat that renews the lease, on a thread with a loop and a connection of its own (L2 heartbeat).

A handler that blocks the main loop costs no lease. Claims nothing, runs no handler.
"""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from sluice.consumer.outage import Outage
from sluice.consumer.periodic import every
from sluice.core.errors import Hindered, StoreUnavailable
from sluice.core.events import LeaseLost
from sluice.core.waiting import Stopping

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from random import Random

    from sluice.consumer.lease import Lease
    from sluice.consumer.liveness.watchdog import Watchdog
    from sluice.core.clock import Clock
    from sluice.core.events import Report
    from sluice.core.task import ConsumerId
    from sluice.db.consumers import Registration


class Beats(Protocol):
    """What a beat needs of the store."""

    async def register(self, consumer: ConsumerId, facts: Registration) -> None: ...
    async def beat(self, consumer: ConsumerId, running: int) -> bool: ...


class OpensBeats(Protocol):
    """Who opens a connection for beats alone, on the loop that asks."""

    def open_beats(self) -> AbstractAsyncContextManager[Beats]: ...


class CountsBusy(Protocol):
    """Who knows how many handlers run."""

    @property
    def busy(self) -> int: ...


class Beat:
    """One beat after another (L1 rows). A plain coroutine over its ports; HeartbeatThread puts it on a thread."""

    def __init__(
        self,
        *,
        lease: Lease,
        store: Beats,
        facts: Registration,
        capacity: CountsBusy,
        clock: Clock,
        report: Report,
    ) -> None:
        self._lease = lease
        self._store = store
        self._facts = facts
        self._capacity = capacity
        self._clock = clock
        self._report = report
        self._registered = False
        self._outage = Outage("beat", report)
        self.period = timedelta(seconds=lease.duration / 4)

    async def step(self) -> timedelta:
        """Send one beat; how long to wait for the next. A store that does not answer is asked again soon."""
        sent_at = self._clock()
        try:
            good = await self._send()
        except StoreUnavailable as away:
            self._lease.missed()
            if isinstance(away, Hindered) and self._registered and not self._lease.trusted:
                return self._go_on_as_another(f"its row cannot be changed: {away.reason}")
            self._outage.met(away)
            return min(self.period / 2, timedelta(seconds=1))
        self._outage.over()
        if good:
            self._lease.renewed(sent_at)
            return self.period
        return self._go_on_as_another("others declared it dead, for want of beats")

    def _go_on_as_another(self, why: str) -> timedelta:
        self._report(LeaseLost(str(self._lease.consumer), why=why))
        self._lease.ended()
        self._registered = False
        return timedelta()

    async def _send(self) -> bool:
        if self._registered:
            return await self._store.beat(self._lease.consumer, self._capacity.busy)
        await self._store.register(self._lease.consumer, self._facts)
        # Registering again changes nothing, so only the beat that follows says whether the row is alive.
        self._registered = await self._store.beat(self._lease.consumer, self._capacity.busy)
        return self._registered


class Heartbeat:
    """The beat and the watchdog, for as long as they go on; on whatever loop `run` is called."""

    def __init__(
        self,
        *,
        stores: OpensBeats,
        lease: Lease,
        facts: Registration,
        capacity: CountsBusy,
        watchdog: Watchdog,
        clock: Clock,
        random: Random,
        report: Report,
    ) -> None:
        self._stores = stores
        self._lease = lease
        self._facts = facts
        self._capacity = capacity
        self._watchdog = watchdog
        self._check_every = timedelta(seconds=lease.duration / 24)
        self._clock = clock
        self._random = random
        self._report = report
        self._stopping = Stopping()

    async def run(self) -> None:
        """Beat until `request_stop`; the beat in flight is awaited."""
        async with self._stores.open_beats() as store, asyncio.TaskGroup() as group:
            beat = Beat(
                lease=self._lease,
                store=store,
                facts=self._facts,
                capacity=self._capacity,
                clock=self._clock,
                report=self._report,
            )
            for name, step in (("beat", beat.step), ("watchdog", self._check)):
                group.create_task(
                    every(name, step, stopping=self._stopping, report=self._report, random=self._random),
                    name=name,
                )

    def request_stop(self) -> None:
        """Ask it to end; called on the loop that runs it."""
        self._stopping.request()

    async def _check(self) -> timedelta:
        self._watchdog.check()
        return self._check_every


class CarriesHeartbeat(Protocol):
    """What keeps a heartbeat going beside the main loop."""

    def start(self) -> None: ...
    async def stop(self) -> None: ...


class HeartbeatThread:
    """A thread with a loop of its own for the heartbeat. A daemon: it never keeps a process from exiting."""

    def __init__(self, heartbeat: Heartbeat) -> None:
        self._heartbeat = heartbeat
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin to beat. The gate stays closed until the first beat has committed (L1 rows)."""
        self._thread.start()

    async def stop(self) -> None:
        """Stop after the beat in flight; the last thing that a drain does."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._heartbeat.request_stop)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)

    def _run(self) -> None:
        """Run on a loop that no event loop policy of a handler's has a say in."""
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._life())

    async def _life(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._heartbeat.run()
