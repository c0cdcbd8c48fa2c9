"""One claim by the rows: in one statement, or in smaller ones that pass over rows that PostgreSQL refuses."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from sluice.core.errors import RowRefused, StoreUnavailable
from sluice.core.events import StepFailed
from sluice.core.task import TaskId
from sluice.db.rows import Place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sluice.consumer.lease import Lease
    from sluice.core.events import Report
    from sluice.core.task import Claim, ConsumerId
    from sluice.db.claims import Batch, Hints, Lane

_MOST_REFUSED = 10
"""How many refused rows one claim by the rows passes over: each costs it several statements."""
_END = Place(datetime.max.replace(tzinfo=UTC), TaskId(UUID(int=(1 << 128) - 1)))
"""Behind every row of a lane: a claim from there brings a suspect alone."""


class ClaimsByRows(Protocol):
    """What is needed of the store."""

    async def claim_ready(
        self,
        lanes: Mapping[Lane, Place],
        n: int,
        *,
        consumer: ConsumerId,
        listed: Hints,
        skip: int,
        suspect: int,
    ) -> Batch: ...


class Walk:
    """What one claim by the rows has brought: `claims`, and the last row of each lane that gave some in `ends`."""

    def __init__(
        self,
        *,
        store: ClaimsByRows,
        lease: Lease,
        report: Report,
        lanes: Mapping[Lane, Place],
        n: int,
        listed: Hints,
    ) -> None:
        self._store = store
        self._lease = lease
        self._report = report
        self._lanes = lanes
        self._n = n
        self._listed = listed
        self.me = lease.consumer
        self.claims: list[Claim] = []
        self.ends: dict[Lane, Place] = {}

    async def go(self, *, suspects: bool, innocent_first: bool) -> None:
        """Claim in one statement. Where a row is refused, innocent tasks come first, and then a suspect by itself.

        So they do when one task is asked for and `innocent_first`: both kinds go on with a single slot.
        """
        apart = suspects and self._n == 1 and innocent_first
        try:
            if not suspects or apart or not await self._at_once():
                await self._innocent()
                if suspects:
                    await self._suspect()
        except StoreUnavailable:
            if not self.claims:
                raise

    @property
    def _room(self) -> int:
        """How many more may come."""
        return self._n - len(self.claims)

    async def _at_once(self) -> bool:
        """Whether no row was refused, or nothing more may be asked."""
        try:
            await self._ask(self._lanes, self._n, suspect=1)
        except RowRefused:
            return not self._lease.trusts(self.me)
        return True

    async def _innocent(self) -> None:
        """Send one statement, or smaller ones that come to the refused rows one by one and pass over them."""
        size, refused_rows, first = self._n, 0, True
        while size and refused_rows <= _MOST_REFUSED and (first or self._lease.trusts(self.me)):
            first = False
            try:
                found = await self._ask(self._lanes, size, skip=refused_rows)
            except RowRefused as refused:
                if size == 1:
                    self._tell(refused)
                    refused_rows += 1
                size = size // 2 or self._room
            else:
                size = min(size, self._room) if found == size else 0

    async def _suspect(self) -> None:
        """Claim the first suspect that is not refused."""
        behind = dict.fromkeys(self._lanes, _END)
        for suspect in range(1, _MOST_REFUSED + 1):
            if not self._room or not self._lease.trusts(self.me):
                return
            try:
                await self._ask(behind, 1, suspect=suspect)
            except RowRefused as refused:
                self._tell(refused)
            else:
                return

    async def _ask(self, lanes: Mapping[Lane, Place], n: int, *, skip: int = 0, suspect: int = 0) -> int:
        """Send one statement; how many it brought. Raises RowRefused."""
        claims, ends = await self._store.claim_ready(
            lanes, n, consumer=self.me, listed=self._listed, skip=skip, suspect=suspect
        )
        self.claims.extend(claims)
        self.ends.update({lane: max(end, self.ends.get(lane, end)) for lane, end in ends.items()})
        return len(claims)

    def _tell(self, refused: RowRefused) -> None:
        self._report(StepFailed("claim", reason=f"a task is refused: {refused.reason}"))
