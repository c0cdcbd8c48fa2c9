"""What goes round beside the pipeline: each loop with its step, its stop and its bell. Decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sluice.consumer.liveness.cancels import Compare, Listener
from sluice.consumer.liveness.distrust import Distrust
from sluice.consumer.upkeep.promote import STEP as PROMOTE
from sluice.consumer.upkeep.promote import Promote
from sluice.consumer.upkeep.prune import STEP as PRUNE
from sluice.consumer.upkeep.prune import Prune
from sluice.consumer.upkeep.reap import STEP as REAP
from sluice.consumer.upkeep.reap import Reap

if TYPE_CHECKING:
    from sluice.consumer.parts import Parts
    from sluice.consumer.periodic import Bell, Step, Stopping
    from sluice.consumer.stores import Stores
    from sluice.core.events import Report
    from sluice.core.settings import ConsumerSettings

STEPS = (PROMOTE, REAP, PRUNE)
_TICK = timedelta(seconds=0.5)


@dataclass(frozen=True, slots=True)
class Loop:
    """One use of `every`."""

    name: str
    step: Step
    stopping: Stopping
    bell: Bell | None = None


def loops(parts: Parts, stores: Stores, settings: ConsumerSettings, report: Report) -> list[Loop]:
    """Every loop of a consumer. Without Redis nothing is promoted: scans find what is due."""

    async def tick() -> timedelta:
        parts.watch.tick()
        return _TICK

    store, lease = stores.upkeep, parts.lease
    missed = parts.the_end.bell()
    compare = Compare(
        store=stores.claims,
        running=parts.running,
        ahead=parts.ahead,
        complete=parts.complete,
        often=settings.lease / 2,
    )
    found = [
        Loop("tick", tick, parts.the_end),
        Loop("distrust", Distrust(lease, parts.running, parts.ahead).step, parts.the_end),
        Loop("scan", parts.pull.look, parts.intake, parts.rows),
        Loop("compare", compare.step, parts.the_end, missed),
        Loop("reconcile", parts.reconcile.step, parts.the_end),
        Loop(REAP, Reap(store=store, lease=lease, report=report).step, parts.intake),
        Loop(PRUNE, Prune(store=store, retention=settings.retention, report=report).step, parts.intake),
    ]
    if stores.ready is None or stores.signals is None:
        return found
    roster = stores.roster
    promote = Promote(store=store, ready=stores.ready, audiences=lambda: roster.audiences, report=report)
    listener = Listener(signals=stores.signals, running=parts.running, missed=missed, stopping=parts.the_end)
    return [
        *found,
        Loop("roster", roster.step, parts.the_end),
        Loop(PROMOTE, promote.step, parts.intake),
        Loop("presence", parts.presence.step, parts.intake),
        Loop("listen", listener.step, parts.the_end),
    ]
