"""Safeguards left out, one at a time: what the simulation must notice.

A World takes one; the product has no such flag.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.simulation.broken import INTACT as WHOLE_STORE
from tests.simulation.broken import Broken
from tests.simulation.broken_twins import (
    Change,
    PushesFirst,
    beats_stop_first,
    cancel_without_token,
    completion_repeated_alone,
    drop,
    locked_rows_not_apart,
    no_local_deadline,
    read_decides,
    reap_after_outage,
    scans_forget_what_was_pushed,
    scans_know_no_list,
    slot_released_early,
)

if TYPE_CHECKING:
    from sluice.consumer.loops import Loop
    from tests.simulation.process import SimProcess


@dataclass(frozen=True, slots=True)
class Ablation:
    """`broken` is the store's part; `change` works on a consumer that was just put together, and gives its loops."""

    name: str
    safeguard: str
    broken: Broken = WHOLE_STORE
    change: Change | None = None
    push_first: bool = False
    seen_by: int = 0
    """A seed that notices: asked first, to save time."""
    blind_to: tuple[str, ...] = ()
    """Rules that state the safeguard itself: not counted, so that its loss must show by what follows from it."""

    def without(self, process: SimProcess, found: list[Loop]) -> list[Loop]:
        """The consumer's loops, after the change."""
        return found if self.change is None else self.change(process, found)

    def submits(self, store: Any, publisher: Any) -> Any:
        """What the API's submissions write to."""
        return PushesFirst(store, publisher) if self.push_first and publisher is not None else store


INTACT = Ablation("intact", "all of them")


ABLATIONS = {
    one.name: one
    for one in (
        Ablation("finish by id", "R2: a finish names its token", Broken(finish_by_id=True), seen_by=1),
        Ablation(
            "finish by status",
            "R2: a finish names its token, not only the status",
            Broken(finish_by_status=True),
            seen_by=270,
        ),
        Ablation(
            "finish without a token step",
            "R2: every change of status raises the token",
            Broken(no_token_step=True),
            blind_to=("R2",),
            seen_by=4,
        ),
        Ablation("beat unfenced", "L1: a beat revives nobody", Broken(beat_unfenced=True), seen_by=8),
        Ablation(
            "reap by a stale look", "U2, R3: reap acts by id and token", Broken(stale_reap=True), seen_by=62
        ),
        Ablation("cancel unguarded", "C1: cancel looks at the status", Broken(cancel_unguarded=True)),
        Ablation(
            "claim not counted",
            "attempt goes up at the claim",
            Broken(claim_not_counted=True),
            blind_to=("INV-9",),
            seen_by=30,
        ),
        Ablation(
            "crash not counted",
            "U2: a crash is counted, three are enough",
            Broken(crash_not_counted=True),
            blind_to=("U2 crashes",),
            seen_by=26,
        ),
        Ablation(
            "unnamed suspects charged",
            "U2: the last crash is charged to the task that was named",
            Broken(unnamed_suspects_charged=True),
            seen_by=37,
        ),
        Ablation("no local deadline", "L3: trust ends before the lease", change=no_local_deadline, seen_by=8),
        Ablation("no reaper", "U2: the tries of the dead are taken back", change=drop("reap"), seen_by=18),
        Ablation(
            "dead by the clock",
            "U2: who is dead is measured on a clock that does not step",
            Broken(dead_by_the_clock=True),
            seen_by=102,
        ),
        Ablation(
            "lanes behind a limit",
            "S4: a look pays for no row that nobody serves",
            Broken(lanes_behind_a_limit=True),
        ),
        Ablation("no reconcile", "L4: a lost claim answer is found", change=drop("reconcile"), seen_by=36),
        Ablation("no scan", "U4: rows whose hint is lost are found", change=scans_know_no_list, seen_by=46),
        Ablation(
            "scan of the unpublished", "U4: level-triggered", change=scans_forget_what_was_pushed, seen_by=46
        ),
        Ablation(
            "push before the commit",
            "A1: ids are pushed after the commit",
            change=scans_know_no_list,
            push_first=True,
            seen_by=46,
        ),
        Ablation("beats stop first", "C3: the beat stops last", change=beats_stop_first, seen_by=656),
        Ablation(
            "slot released early", "C2: a slot covers the handler", change=slot_released_early, seen_by=4
        ),
        Ablation(
            "completion repeated alone",
            "R6: nothing is repeated",
            change=completion_repeated_alone,
            seen_by=24,
        ),
        Ablation("a read decides", "R6: no read decides", change=read_decides, seen_by=20),
        Ablation(
            "cancel without token", "S3: a message names its run", change=cancel_without_token, seen_by=3
        ),
        Ablation(
            "reap after an outage", "U2: only who was well may judge", change=reap_after_outage, seen_by=127
        ),
        Ablation(
            "locked rows not apart",
            "R5: a row that somebody keeps waits alone",
            change=locked_rows_not_apart,
            seen_by=116,
        ),
    )
}
