"""What goes round beside the pipeline: each loop with its step, its stop and its bell. Decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sluice.consumer.liveness.cancels import Compare, Listener
from sluice.consumer.liveness.distrust import Distrust
from sluice.consumer.pulse import PERIOD_SECONDS
from sluice.consumer.upkeep.steps import upkeep

if TYPE_CHECKING:
    from sluice.consumer.parts import Consumer
    from sluice.consumer.periodic import Step
    from sluice.core.events import Report
    from sluice.core.settings import ConsumerSettings
    from sluice.core.waiting import Bell, Stopping

_TICK = timedelta(seconds=PERIOD_SECONDS)


@dataclass(frozen=True, slots=True)
class Loop:
    """One use of `every`."""

    name: str
    step: Step
    stopping: Stopping
    bell: Bell | None = None


def loops(consumer: Consumer, settings: ConsumerSettings, report: Report) -> list[Loop]:
    """Make every loop of a consumer. Without Redis nothing is listened to: scans and comparing find what is due."""

    async def tick() -> timedelta:
        consumer.pulse.beat()
        return _TICK

    stores, lease = consumer.stores, consumer.lease
    runs, intake, end = consumer.runs, consumer.intake, consumer.stops.end
    missed = end.bell()
    compare = Compare(
        store=stores.claims,
        running=runs.running,
        prefetch=intake.prefetch,
        complete=runs.complete,
        often=settings.lease / 2,
    )
    found = [
        Loop("tick", tick, end),
        Loop("journal", runs.journal.step, end),
        Loop("distrust", Distrust(lease, runs.running, intake.prefetch).step, end),
        Loop("scan", intake.pull.scan, consumer.stops.intake, intake.scan_bell),
        Loop("compare", compare.step, end, missed),
        Loop("reconcile", consumer.liveness.reconcile.step, end),
        *(
            Loop(step.name, step.step, consumer.stops.intake)
            for step in upkeep(stores, lease, settings, report)
        ),
    ]
    if stores.signals is None:
        return found
    listener = Listener(signals=stores.signals, running=runs.running, missed=missed, stopping=end)
    return [
        *found,
        Loop("roster", stores.roster.step, end),
        Loop("redis health", intake.redis_health.step, consumer.stops.intake),
        Loop("listen", listener.step, end),
    ]
