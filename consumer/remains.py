"""What a consumer still holds at the end of its drain goes back to its rows (C3). Waits for no handler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sluice.consumer.runs.refused import bisected
from sluice.core.events import StepFailed
from sluice.db.claims import Return

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sluice.consumer.parts import Parts
    from sluice.core.errors import RowRefused
    from sluice.core.events import Report
    from sluice.core.task import RunKey
    from sluice.db.claims import Pending


class Remains:
    """What became of it, as far as `give_back` came.

    `back`: runs that went back, and their rows in `pending`; `claimed`: how many of them had not been here, as a claim
    had no answer; `locked` and `refused`: rows that did not go back for either reason; `looked`: whether PostgreSQL
    said what there was, and took all others.
    """

    def __init__(self, parts: Parts, report: Report) -> None:
        self._parts = parts
        self._report = report
        self.pending: list[Pending] = []
        self.back: set[RunKey] = set()
        self.claimed = self.locked = self.refused = 0
        self.looked = False

    async def give_back(self) -> None:
        """First what runs here, by its keys; then what the rows show beside it, whatever finding that costs.

        That is what claims without an answer took, and outcomes that PostgreSQL refused. Raises StoreUnavailable; safe
        to cancel: what has gone back by then is told.
        """
        parts = self._parts
        here = parts.running.keys() - self._writing()
        locked = await self._give_back_free(here)
        held = await parts.claims.held(parts.lease.consumer)
        if parts.lease.former is not None:
            # Declared dead, perhaps a moment ago: nobody may have looked since (L5).
            held |= await parts.claims.held(parts.lease.former)
        unknown = held - here - self._writing()
        locked |= await self._give_back_free(unknown)
        self.locked, self.looked = len(locked), True
        self.claimed = len(self.back & unknown)
        await self._send(locked)  # one may wait for a COMMIT of ours
        self.claimed, self.locked = len(self.back & unknown), 0

    def _writing(self) -> set[RunKey]:
        """What the writer will see to."""
        return set() if self._parts.complete.ended else self._parts.complete.keys()

    async def _give_back_free(self, runs: Collection[RunKey]) -> set[RunKey]:
        """What somebody holds locked must not keep its neighbours here: it is returned instead."""
        if not runs:
            return set()
        rows = await self._parts.claims.locked_among([task_id for task_id, _ in runs])
        locked = {key for key in runs if key[0] in rows}
        await self._send([key for key in runs if key not in locked])
        return locked

    async def _send(self, runs: Collection[RunKey]) -> None:
        """One that PostgreSQL refuses, such as by a trigger of the user's, stays where it is, and alone (U1)."""

        async def send(some: Sequence[RunKey]) -> None:
            written = await self._parts.claims.give_back([Return(task_id, token) for task_id, token in some])
            self.pending += written.pending
            self.back.update(some)

        def refused_alone(key: RunKey, refused: RowRefused) -> None:
            self._report(StepFailed("drain", reason=f"task {key[0]} is refused: {refused.reason}"))
            self.refused += 1

        if runs:
            await bisected(list(runs), send, refused_alone)
