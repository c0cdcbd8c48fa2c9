"""`python -m consumer`: the process around one consumer, or the parent of several. Puts nothing together itself."""

from __future__ import annotations

import asyncio
import gc
import signal
import traceback
from contextlib import nullcontext
from typing import TYPE_CHECKING

import uvloop

from sluice.consumer.handlers import loader
from sluice.consumer.processes import supervise
from sluice.consumer.serve import serve
from sluice.core.errors import ConfigurationError, HandlersRefused, SluiceError
from sluice.core.events import StepFailed
from sluice.core.process import runner
from sluice.core.process.forks import set_forks_apart
from sluice.core.process.parent_death import die_with_parent
from sluice.core.process.signals import STOPS, on_stops
from sluice.core.process.stop import StopOrder
from sluice.core.process.supervisor import REFUSED, as_it_was
from sluice.core.settings import ConsumerSettings, load
from sluice.core.telemetry import log
from sluice.core.telemetry.report import Reporter

if TYPE_CHECKING:
    from sluice.consumer.handlers.registry import Registry
    from sluice.consumer.shutdown import Ending
    from sluice.core.events import Report


def run(*, queues: str | None = None, processes: int | None = None, parent: int | None = None) -> int:
    """Consume until SIGTERM, SIGINT or SIGHUP; the exit status.

    `processes`: run as many consumers as children instead. `parent`: end together with the process of that pid.
    """
    if parent is not None:
        die_with_parent(signal.SIGKILL, parent)
    try:
        settings = load(ConsumerSettings, queues=queues)
        log.configure(settings.log_level, settings.log_format)
        log.never_wait()
        with nullcontext() if processes is None else as_it_was():
            registry = _handlers(settings)
        report = Reporter(settings.log_level)
        if processes is not None:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as parent_loop:
                return parent_loop.run(
                    supervise(
                        processes,
                        settings,
                        registry,
                        queues=queues,
                        supervised=parent is not None,
                        report=report,
                    )
                )
        set_forks_apart(STOPS)
        try:
            status = _consume(settings, registry, report, supervised=parent is not None)
        except SluiceError:
            raise
        except Exception as error:  # noqa: BLE001 - reported; the beat goes on, and handlers' threads are waited for
            report(StepFailed("consumer", reason=repr(error), traceback=traceback.format_exc()))
            runner.end_now(1, finish=log.finish)
        return runner.leave(status, finish=log.finish)
    except SluiceError as error:
        _say(str(error))
        return REFUSED if parent is not None and isinstance(error, HandlersRefused) else 1
    finally:
        gc.freeze()  # else the interpreter's last collections walk every object: up to half of the second after a drain


def _handlers(settings: ConsumerSettings) -> Registry:
    try:
        return loader.load(settings.handlers)
    except ConfigurationError as refused:
        raise HandlersRefused(str(refused)) from refused


def _consume(settings: ConsumerSettings, registry: Registry, report: Report, *, supervised: bool) -> int:
    taken = asyncio.Event()

    def stray(stopped: BaseException) -> None:
        report(StepFailed("loop", reason=f"a task that a handler left behind: {stopped!r}"))

    ending = runner.run(
        _until_signal(settings, registry, report, taken, supervised=supervised),
        loop_factory=uvloop.new_event_loop,
        ours=taken.is_set,
        stray=stray,
    )
    return _status(ending)


async def _until_signal(
    settings: ConsumerSettings, registry: Registry, report: Report, taken: asyncio.Event, *, supervised: bool
) -> Ending:
    stop = StopOrder()
    on_stops(asyncio.get_running_loop(), stop.ask, told_twice=stop.begin if supervised else None)
    taken.set()
    return await serve(settings, registry, stop=stop, leave=_leave, end_process=_end_process, report=report)


def _leave(ending: Ending) -> None:
    """End here when something cannot be awaited: a thread that still runs, a store that hangs (C3 drain)."""
    if ending.threads or not ending.clean:
        runner.end_now(_status(ending), finish=log.finish)


def _status(ending: Ending) -> int:
    if ending.clean:
        return 0
    _say(ending.complaint)
    return 1


def _end_process(why: str) -> None:
    """End this process, on the heartbeat's thread: nothing else can be relied on any more."""
    _say(f"ending this process: {why}")
    runner.end_now(1, finish=log.finish)


def _say(what: str) -> None:
    log.say(f"sluice consumer: {what}")
