"""Every Redis name, as a function of the prefix. Nothing else spells one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.task import ReadyList


@dataclass(frozen=True, slots=True)
class Keys:
    """The names under one REDIS_PREFIX."""

    prefix: str

    def ready(self, ready: ReadyList) -> str:
        """List of ids: new ones enter on the left, the oldest leave on the right."""
        return f"{self.prefix}:ready:{ready.queue}:{ready.priority}"

    def wake(self, name: str) -> str:
        """List that ends one process's blocking pop when something is put there."""
        return f"{self.prefix}:wake:{name}"

    @property
    def cancels(self) -> str:
        """Channel: which run was canceled, as `<task id> <fencing token>` (S3)."""
        return f"{self.prefix}:cancels"

    @property
    def delayed(self) -> str:
        """Channel: a delayed row was committed, as the seconds until it is due (U3)."""
        return f"{self.prefix}:delayed"
