"""The steps of upkeep that a consumer takes part in. Takes no turn itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sluice.consumer.upkeep.promote import Promote
from sluice.consumer.upkeep.prune import Prune
from sluice.consumer.upkeep.reap import Reap

if TYPE_CHECKING:
    from collections.abc import Callable

    from sluice.consumer.lease import Lease
    from sluice.consumer.stores import Stores
    from sluice.consumer.upkeep.step import Step
    from sluice.core.events import Report
    from sluice.core.settings import ConsumerSettings
    from sluice.db.ready import ReadyLists

_CLASSES: tuple[type[Step], ...] = (Promote, Reap, Prune)
STEPS = tuple(step.name for step in _CLASSES)


def upkeep(stores: Stores, lease: Lease, settings: ConsumerSettings, report: Report) -> list[Step]:
    """Make every step that can be done here: without Redis nothing is promoted, scans find what is due."""
    store = stores.upkeep
    ready = cast("ReadyLists", stores.ready)
    made: dict[type[Step], Callable[[], Step]] = {
        Promote: lambda: Promote(store=store, ready=ready, roster=stores.roster, report=report),
        Reap: lambda: Reap(store=store, lease=lease, report=report),
        Prune: lambda: Prune(store=store, retention=settings.retention, report=report),
    }
    return [made[step]() for step in _CLASSES if stores.ready is not None or not step.needs_redis]
