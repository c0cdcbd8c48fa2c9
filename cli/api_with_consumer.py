"""`sluice api --with-consumer`: a consumer in the API's own process, on its loop. Serves no request itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from sluice.consumer.handlers import loader
from sluice.consumer.handlers.registry import Registry
from sluice.consumer.serve import serve
from sluice.consumer.shutdown import Ending
from sluice.core.process import runner as loop
from sluice.core.process.stop import StopOrder
from sluice.core.settings import ConsumerSettings, load
from sluice.core.telemetry import log
from sluice.core.telemetry.report import Reporter


def consumer_beside() -> Callable[[StopOrder], AbstractAsyncContextManager[None]]:
    """What api.server runs beside the API. Raises ConfigurationError for settings and handlers that do not load."""
    settings = load(ConsumerSettings)
    return partial(_consume, settings, loader.load(settings.handlers))


@asynccontextmanager
async def _consume(settings: ConsumerSettings, registry: Registry, stop: StopOrder) -> AsyncIterator[None]:
    """Consume while the API serves. The drain begins with the stop; it is awaited once the API has ended.

    A consumer that fails ends the lifespan with it, and so the process: a parent starts another.
    """
    ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        group.create_task(
            serve(
                settings,
                registry,
                stop=stop,
                leave=ended.set_result,
                end_process=_end_process,
                report=Reporter(settings.log_level),
            )
        )
        try:
            yield
        finally:
            stop.asked.set()
        ending = await ended
        if ending.threads or not ending.clean:
            _leave(ending, cut_off=stop.cut_off)


def _leave(ending: Ending, *, cut_off: bool) -> None:
    """End here: a thread that still runs cannot be awaited, nor a store that hangs. `cut_off`: requests were."""
    if not ending.clean:
        _say(ending.complaint)
    loop.end_now(0 if ending.clean and not cut_off else 1, finish=log.finish)


def _end_process(why: str) -> None:
    """Called on the beat's thread: nothing else can be relied on any more."""
    _say(f"ending this process: {why}")
    loop.end_now(1, finish=log.finish)


def _say(what: str) -> None:
    log.say(f"sluice api: {what}")
