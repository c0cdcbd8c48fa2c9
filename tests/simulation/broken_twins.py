"""Consumers with a safeguard left out: what an unwary author might have written, or what a system of the field does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sluice.consumer.lease import Lease
from sluice.consumer.runs.running import Running, Stop
from sluice.consumer.runs.work import Work
from sluice.core.errors import SluiceError, StoreUnavailable
from sluice.core.outcome import Completion, Succeeded
from sluice.core.task import NewTask
from sluice.db.tasks import Accepted

if TYPE_CHECKING:
    from sluice.consumer.loops import Loop
    from sluice.consumer.upkeep.reap import Reap
    from tests.simulation.process import SimProcess

Change = Callable[["SimProcess", "list[Loop]"], "list[Loop]"]


def drop(*names: str) -> Change:
    """Without these loops."""

    def change(_: SimProcess, found: list[Loop]) -> list[Loop]:
        return [loop for loop in found if loop.name not in names]

    return change


class PushesFirst:
    """Ids go to Redis before their rows are committed."""

    def __init__(self, store: Any, publisher: Any) -> None:
        self._store = store
        self._publisher = publisher

    async def submit(self, new: Sequence[NewTask]) -> Any:
        at = datetime.now(UTC)
        early = Accepted(at, at, due=True)
        self._publisher.submitted(new, dict.fromkeys((task.id for task in new), early))
        await asyncio.sleep(0.02)
        accepted = await self._store.submit(new)
        return {task_id: replace(row, due=False) for task_id, row in accepted.items()}


class Trusting(Lease):
    """Believes in itself from its first beat on."""

    @property
    def trusted(self) -> bool:
        return self._good_since is not None or self._trusted_until > float("-inf")

    @property
    def remaining(self) -> float:
        return self.duration if self.trusted else -1.0

    def ended(self) -> None:
        """It does not take note."""


def no_local_deadline(process: SimProcess, found: list[Loop]) -> list[Loop]:
    _consumer(process).lease.__class__ = Trusting
    return found


def reap_after_outage(_: SimProcess, found: list[Loop]) -> list[Loop]:
    for reap in _steps(found, "reap"):
        hasty: Reap = reap
        hasty._lease = _as_hasty(hasty._lease)
    return found


def _as_hasty(lease: Lease) -> Any:
    class View:
        @property
        def unbroken(self) -> bool:
            return lease.trusted

        @property
        def well_for(self) -> float:
            return lease.clock() if lease.trusted else 0.0

        clock = lease.clock

    return View()


class BlindToTokens(Running):
    """A cancel message stops whatever run of the task is here."""

    def stop(self, key: Any, reason: Stop) -> None:
        for other in list(self._runs):
            if other[0] == key[0]:
                super().stop(other, reason)


def cancel_without_token(process: SimProcess, found: list[Loop]) -> list[Loop]:
    _consumer(process).runs.running.__class__ = BlindToTokens
    return found


def beats_stop_first(process: SimProcess, found: list[Loop]) -> list[Loop]:
    consumer = _consumer(process)
    request = consumer.stops.intake.request

    def stop_beat_too() -> None:
        request()
        process.loop.start(process.beat, consumer.liveness.heartbeat.stop())

    consumer.stops.intake.request = stop_beat_too
    return found


def slot_released_early(process: SimProcess, found: list[Loop]) -> list[Loop]:
    """A run that is told to stop frees its place at once, whether or not its handler goes on."""
    work = _consumer(process).runs.work
    execute = work._execute

    async def early(run: Any, *others: Any) -> Any:
        vacate, vacated = run.vacate, list[bool]()

        def once() -> None:
            if not vacated:
                vacated.append(True)
                vacate()

        async def look() -> None:
            while not (run.stopping or vacated):
                await asyncio.sleep(0.01)
            once()

        run.vacate = once
        async with asyncio.TaskGroup() as group:
            group.create_task(look())
            return await execute(run, *others)

    work._execute = early
    return found


class RepeatsAlone(Work):
    """After a lost COMMIT the completion is sent again, by itself."""

    async def _end(self, transaction: Any, run: Any, outcome: Any) -> Any:
        if not isinstance(outcome, Succeeded):
            return await super()._end(transaction, run, outcome)
        try:
            await transaction.complete(Completion(run.claim.id, run.claim.token, outcome.result))
        except OSError:
            return Completion(run.claim.id, run.claim.token, outcome.result)
        finally:
            await transaction.abandon()
        return None


def locked_rows_not_apart(process: SimProcess, found: list[Loop]) -> list[Loop]:
    """A batch with a row that somebody keeps is sent again whole, until it can be written."""

    async def whole(_: Any) -> None:
        raise StoreUnavailable("PostgreSQL", "canceling statement due to lock timeout")

    _consumer(process).runs.complete._part = whole
    return found


def completion_repeated_alone(process: SimProcess, found: list[Loop]) -> list[Loop]:
    _consumer(process).runs.work.__class__ = RepeatsAlone
    return found


def read_decides(process: SimProcess, found: list[Loop]) -> list[Loop]:
    """After a lost COMMIT the row is read; while it is still processing the writes are made once more, with it."""

    class Reads(Work):
        async def _end(self, transaction: Any, run: Any, outcome: Any) -> Any:
            if not isinstance(outcome, Succeeded):
                return await super()._end(transaction, run, outcome)
            claim = run.claim
            done = Completion(claim.id, claim.token, outcome.result)
            try:
                await transaction.complete(done)
            except OSError:
                with suppress(SluiceError):
                    if claim.key in await process.links.claims.held(process.history.holders[claim.key]):
                        process.links.store.effects.append((claim.id, claim.token))
                        return done
            finally:
                await transaction.abandon()
            return None

    _consumer(process).runs.work.__class__ = Reads
    return found


def scans_forget_what_was_pushed(process: SimProcess, found: list[Loop]) -> list[Loop]:
    """A look passes over rows whose id was pushed at some time: edge-triggered."""
    pushed = process.world.redis_server.pushed
    scan = _consumer(process).intake.pull._scan
    look = scan._store.lanes

    class Once:
        async def lanes(self, *asked: Any, since: str) -> Any:
            tables = process.world.store.tables
            fresh = {row.lane for row in tables.tasks.values() if str(row.id).encode() not in pushed}
            return [each for each in await look(*asked, since=since) if each[0] in fresh]

    scan._store = Once()
    return found


def scans_know_no_list(process: SimProcess, found: list[Loop]) -> list[Loop]:
    """The scan is left out while Redis is there."""
    intake = _consumer(process).intake

    async def only_alone() -> Any:
        return timedelta(seconds=1) if intake.redis_health.up else await intake.pull.scan()

    return [replace(loop, step=only_alone) if loop.name == "scan" else loop for loop in found]


def _consumer(process: SimProcess) -> Any:
    if process.consumer is None:
        raise AssertionError("it is put together before it is changed")
    return process.consumer


def _steps(found: list[Loop], name: str) -> list[Any]:
    """The objects whose `step` the loops of this name repeat."""
    return [getattr(loop.step, "__self__") for loop in found if loop.name == name]  # noqa: B009 - a method has one
