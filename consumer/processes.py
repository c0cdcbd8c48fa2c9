"""`--processes N`: what a parent of several consumers starts as its children, and the look that it takes before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sluice.consumer.serve import prepare
from sluice.consumer.stores import Stores
from sluice.core.process import supervisor as family

if TYPE_CHECKING:
    from sluice.consumer.handlers.registry import Registry
    from sluice.core.events import Report
    from sluice.core.settings import ConsumerSettings


async def supervise(
    n: int, settings: ConsumerSettings, registry: Registry, *, queues: str | None, report: Report
) -> int:
    """Keep `n` consumers running as children until SIGTERM or SIGINT; otherwise as core.family.supervise.

    Raises ConfigurationError and StoreUnavailable, as each of them would at its start.
    """
    return await family.supervise(
        n,
        "sluice.consumer",
        ["--queues", queues] if queues is not None else [],
        look=_look(settings, registry, report),
    )


async def _look(settings: ConsumerSettings, registry: Registry, report: Report) -> None:
    stores = Stores(settings, report)
    try:
        await prepare(stores, registry, report)
    finally:
        await stores.close()
