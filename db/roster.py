"""Which consumers are alive, as far as a hint is concerned: the signatures of live leases, looked at every second.

A look that is a second old sends a few hints to a list that others no longer pop; scans find their rows.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from sluice.core.audience import Audiences, Signature
from sluice.core.errors import StoreUnavailable
from sluice.core.events import StepFailed, Unserved

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sluice.core.events import Report

PERIOD = timedelta(seconds=1)


class ReadsSignatures(Protocol):
    """What a roster needs of the store."""

    async def signatures(self) -> dict[str, int]: ...
    async def signature_members(self, names: Sequence[str]) -> list[Signature]: ...


class Roster:
    """What the last look saw. Empty until the first: nothing is pushed then."""

    def __init__(self, store: ReadsSignatures) -> None:
        self._store = store
        self._own: dict[str, Signature] = {}
        self._known: dict[str, Signature] = {}
        self.audiences = Audiences()
        self.consumers = 0

    async def step(self) -> timedelta:
        """Look once: one round trip, two when a signature is new. Raises StoreUnavailable: the last look stands."""
        found = await self._store.signatures()
        unknown = [name for name in found if name not in self._known]
        if unknown:
            self._known |= {each.name: each for each in await self._store.signature_members(unknown)}
        live = {name: self._known[name] for name in found if name in self._known}
        self.consumers = sum(found.values())
        if unknown or live.keys() != self._known.keys():
            self._known = live
            self._change()
        return PERIOD

    def include(self, me: Signature) -> None:
        """Count this consumer in from its start to its end, whatever a look saw: what it gives back has an audience."""
        self._own = {me.name: me}
        self._change()

    def _change(self) -> None:
        unserved = self.audiences.unserved
        self.audiences = Audiences({**self._known, **self._own}.values(), unserved)
        unserved.forget(self.audiences.serves)

    async def run(self, report: Report) -> None:
        """Look again and again, until canceled. While PostgreSQL is away the last look stands."""
        while True:
            await self.look(report)
            await asyncio.sleep(PERIOD.total_seconds())

    async def look(self, report: Report) -> None:
        """Look once, if PostgreSQL answers. Never fails: what goes wrong otherwise is reported.

        What had no audience before the look and has none after it is reported, once: who serves it may just have come.
        """
        unserved = self.audiences.unserved
        missed = unserved.missed
        try:
            await self.step()
        except StoreUnavailable:
            return
        except Exception as error:  # noqa: BLE001 - reported, and the last look stands: `run` ends with its process
            report(StepFailed("roster", reason=repr(error)))
        else:
            for queue, kind in unserved.news(missed, self.audiences.serves):
                report(Unserved(queue, kind))
