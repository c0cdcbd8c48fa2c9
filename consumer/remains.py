"""What a consumer still holds at the end of its drain goes back to its rows (C3 drain). Waits for no handler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sluice.core.events import StepFailed
from sluice.core.halving import bisected
from sluice.core.outcome import Return

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sluice.consumer.parts import Consumer
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

    def __init__(self, consumer: Consumer, report: Report) -> None:
        self._lease = consumer.lease
        self._runs = consumer.runs
        self._claims = consumer.stores.claims
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
        here = self._runs.running.keys() - self._writing()
        locked = await self._give_back_free(here)
        held = await self._claims.held(self._lease.consumer)
        if self._lease.former is not None:
            # Declared dead, perhaps a moment ago: nobody may have scanned since (L5 new id).
            held |= await self._claims.held(self._lease.former)
        unknown = held - here - self._writing()
        locked |= await self._give_back_free(unknown)
        self.locked, self.looked = len(locked), True
        self.claimed = len(self.back & unknown)
        await self._send(locked)  # one may wait for a COMMIT of ours
        self.claimed, self.locked = len(self.back & unknown), 0

    def _writing(self) -> set[RunKey]:
        """Return what the writer will see to."""
        return set() if self._runs.complete.ended else self._runs.complete.keys()

    async def _give_back_free(self, runs: Collection[RunKey]) -> set[RunKey]:
        """Give back what nobody holds locked; the runs whose rows somebody does."""
        if not runs:
            return set()
        rows = await self._claims.locked_among([task_id for task_id, _ in runs])
        locked = {key for key in runs if key[0] in rows}
        await self._send([key for key in runs if key not in locked])
        return locked

    async def _send(self, runs: Collection[RunKey]) -> None:
        """Give these back. One that PostgreSQL refuses, such as by a trigger of the user's, stays, alone."""

        async def send(some: Sequence[RunKey]) -> None:
            written = await self._claims.give_back([Return(task_id, token) for task_id, token in some])
            self.pending += written.pending
            self.back.update(some)

        def refused_alone(key: RunKey, refused: RowRefused) -> None:
            self._report(StepFailed("drain", reason=f"task {key[0]} is refused: {refused.reason}"))
            self.refused += 1

        if runs:
            await bisected(list(runs), send, refused_alone)
