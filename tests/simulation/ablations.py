"""Safeguards left out, one at a time: what the simulation must notice. Only a World takes one; the product has no such flag."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.simulation.store_tables import INTACT as WHOLE_STORE
from tests.simulation.store_tables import Broken

if TYPE_CHECKING:
    from consumer.loops import Loop
    from tests.simulation.process import SimProcess
    from tests.simulation.world import World


@dataclass(frozen=True, slots=True)
class Ablation:
    """`broken` is the store's part, `change` works on a consumer that was just put together and gives its loops."""

    name: str = "intact"
    broken: Broken = WHOLE_STORE
    change: Callable[[SimProcess, list[Loop]], list[Loop]] | None = None
    ignored: frozenset[str] = frozenset()

    def without(self, process: SimProcess, found: list[Loop]) -> list[Loop]:
        """The consumer's loops, after the change."""
        return found if self.change is None else self.change(process, found)

    def submits(self, world: World, store: Any, publisher: Any) -> Any:
        """What the API's submissions write to."""
        return store


INTACT = Ablation()
