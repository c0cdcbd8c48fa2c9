"""A child that is started anew when code changes, or waits for the change that mends it. Watches no file itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Sequence
from contextlib import suppress
from importlib.util import cache_from_source
from pathlib import Path

from sluice.core.process.pauses import Pauses
from sluice.core.process.signals import on_stops
from sluice.core.process.supervisor import QUICK_SECONDS, REFUSED, Supervisor
from sluice.core.telemetry.log import logger
from sluice.core.waiting import unless

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0


async def reload(
    module: str,
    arguments: Sequence[str] = (),
    *,
    changes: AsyncIterable[Sequence[str]],
    say: Callable[[str], None],
) -> int:
    """Keep one `python -m module --parent <our pid> arguments` until SIGTERM, SIGINT or SIGHUP; its exit status.

    At each of `changes`, which are names of files, it drains and another takes its place; what changes before that one
    begins makes no third. One that ends with REFUSED has said why: the next change is waited for. After any other end
    there is a pause that doubles up to 30 s. Signals are handed on as `supervise` does.
    """
    supervisor = Supervisor(1, module, arguments)
    on_stops(asyncio.get_running_loop(), supervisor.stop)
    compiled: set[str] = set()
    async with asyncio.TaskGroup() as group:
        following = group.create_task(_follow(changes, supervisor, compiled))
        await _keep(supervisor, compiled, say)
        following.cancel()
    if not following.cancelled():
        raise following.result()
    return supervisor.status


async def _follow(
    changes: AsyncIterable[Sequence[str]], supervisor: Supervisor, compiled: set[str]
) -> Exception:
    """Follow the changes until canceled, or else have the child drain and return what is wrong with them."""
    try:
        async for changed in changes:
            logger().info(f"{supervisor.name}.reloading", changed=list(changed))
            compiled.update(map(cache_from_source, changed))
            supervisor.outdate()
    except Exception as error:  # noqa: BLE001 - raised when the child has ended
        broken = error
    else:
        broken = EOFError("the changes have ended")
    supervisor.begin_stop()
    return broken


def _remove(compiled: set[str]) -> None:
    """Remove what Python has kept of files that changed: one saved twice in a second may pass for the first save."""
    while compiled:
        with suppress(OSError):  # it was never kept, or may not be written
            Path(compiled.pop()).unlink()


async def _keep(supervisor: Supervisor, compiled: set[str], say: Callable[[str], None]) -> None:
    pauses = Pauses(FIRST_PAUSE, LONGEST_PAUSE, quick=QUICK_SECONDS)
    while not supervisor.stopping.is_set():
        supervisor.outdated.clear()
        _remove(compiled)
        began = asyncio.get_running_loop().time()
        status = await supervisor.one()
        lasted = asyncio.get_running_loop().time() - began
        if supervisor.stopping.is_set() or supervisor.outdated.is_set():
            pauses.reset()
        elif status == REFUSED:
            say("waiting for the next save of a .py file")
            await unless(supervisor.stopping, supervisor.outdated.wait())
            pauses.reset()
        else:
            logger().warning(f"{supervisor.name}.replaced", status=status)
            await unless(supervisor.stopping, supervisor.outdated.wait(), pauses.after(lasted))
