"""`--processes N`: what the parent of several consumers starts as its children, and what it checks before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sluice.consumer.serve import prepare
from sluice.consumer.stores import Stores
from sluice.core.process import supervisor

if TYPE_CHECKING:
    from sluice.consumer.handlers.registry import Registry
    from sluice.core.events import Report
    from sluice.core.settings import ConsumerSettings


async def supervise(
    n: int,
    settings: ConsumerSettings,
    registry: Registry,
    *,
    queues: str | None,
    supervised: bool,
    report: Report,
) -> int:
    """Keep `n` consumers running as children until SIGTERM or SIGINT; otherwise as the supervisor's own.

    Raises ConfigurationError and StoreUnavailable, as each of them would at its start.
    """
    return await supervisor.supervise(
        n,
        "sluice.consumer",
        ["--queues", queues] if queues is not None else [],
        supervised=supervised,
        check=_check(settings, registry, report),
    )


async def _check(settings: ConsumerSettings, registry: Registry, report: Report) -> None:
    stores = Stores(settings, report)
    try:
        await prepare(stores, registry, report)
    finally:
        await stores.close()
