"""The steps of upkeep that a consumer takes part in. Takes no turn itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sluice.consumer.upkeep.promote import Promote
from sluice.consumer.upkeep.prune import Prune
from sluice.consumer.upkeep.reap import Reap

if TYPE_CHECKING:
    from sluice.consumer.lease import Lease
    from sluice.consumer.stores import Stores
    from sluice.consumer.upkeep.step import Step
    from sluice.core.events import Report
    from sluice.core.settings import ConsumerSettings

STEPS = tuple(step.name for step in (Promote, Reap, Prune))


def upkeep(stores: Stores, lease: Lease, settings: ConsumerSettings, report: Report) -> list[Step]:
    """Make every step that can be done here: without Redis nothing is promoted, scans find what is due."""
    store = stores.upkeep
    steps: list[Step] = [
        Reap(store=store, lease=lease, report=report),
        Prune(store=store, retention=settings.retention, report=report),
    ]
    if stores.ready is not None:
        steps.append(Promote(store=store, ready=stores.ready, roster=stores.roster, report=report))
    return steps
