"""Every Redis name, as a function of the prefix. Nothing else spells one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from sluice.core.task import ReadyList


@dataclass(frozen=True, slots=True)
class Keys:
    """The names under one REDIS_PREFIX.

    The prefix is their hash tag, so that a cluster keeps all of them in one slot: a pop asks several lists at once.
    """

    prefix: str

    def ready(self, ready: ReadyList) -> str:
        """List of ids: new ones enter on the left, the oldest leave on the right. It expires unless it is pushed to."""
        return f"{self._root}:ready:{ready}"

    def to_ready(self, key: bytes) -> ReadyList:
        """The list that a key of `ready` names."""
        return cast("ReadyList", key.decode()[len(self._root) + len(":ready:") :])

    def wake(self, name: str) -> str:
        """List that ends one process's blocking pop when something is put there. It expires."""
        return f"{self._root}:wake:{name}"

    def probe(self, name: str) -> str:
        """List at which one process tries its commands. It expires."""
        return f"{self._root}:probe:{name}"

    @property
    def cancels(self) -> str:
        """Channel: which run was canceled, as `<task id> <fencing token>` (S3 cancels)."""
        return f"{self._root}:cancels"

    @property
    def _root(self) -> str:
        return self.prefix if "{" in self.prefix else f"{{{self.prefix}}}"
