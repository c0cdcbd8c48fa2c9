"""One step of upkeep, whose turns whoever wins them takes (U1 turns). A new one is a name, a period and `take`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from sluice.core.events import Report
    from sluice.db.upkeep import Turn

AT_ONCE = timedelta()


class Turns(Protocol):
    """Where turns are won, and where it is kept how far the last one came."""

    async def take_turn(self, step: str, period: timedelta) -> Turn | None: ...
    async def end_turn(self, step: str, cursor: dict[str, Any], again: timedelta | None = None) -> None: ...


@dataclass(frozen=True, slots=True)
class End:
    """How far a turn came, for the next one, and in how long that is due; None: after the step's period."""

    cursor: dict[str, Any]
    again: timedelta | None = None


class Step(ABC):
    """A step of `every`: it takes a turn when one is due, and the next at once while `take` says so."""

    name: ClassVar[str]
    period: timedelta
    needs_redis: ClassVar[bool] = False

    def __init__(self, turns: Turns, report: Report) -> None:
        self._turns = turns
        self._report = report

    @abstractmethod
    async def take(self, turn: Turn) -> End | None:
        """Do the work of one turn; None: nothing is to be kept of it. Raises StoreUnavailable."""

    async def put_off(self) -> timedelta | None:
        """Return how long this process may take no turn yet; None: it may now."""
        return None

    @property
    def attempts(self) -> timedelta:
        """How often a turn is asked for."""
        return self.period

    @property
    def next_due(self) -> timedelta:
        """In how long the turn after this one is due."""
        return self.period

    async def step(self) -> timedelta:
        """Take the turn if it is due; how long to wait before the next is asked for. Raises StoreUnavailable."""
        wait = await self.put_off()
        if wait is not None:
            return wait
        turn = await self._turns.take_turn(self.name, self.next_due)
        if turn is None:
            return self.attempts
        end = await self.take(turn)
        if end is None:
            return self.attempts
        await self._turns.end_turn(self.name, end.cursor, end.again)
        return self.attempts if end.again is None else end.again
