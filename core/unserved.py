"""Which queues and kinds nobody alive serves while their tasks are due: each is told once, and what to do about it.

Reads no store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from sluice.core.task import Kind, QueueName

    Serves = Callable[[QueueName, Kind], bool]

MOST_UNSERVED = 1000
"""Pairs that are kept: clients choose the names of queues. Of more, none is told until some of these are served."""

WITH_KIND = "start one whose HANDLERS has it"
"""What to do about a kind, said behind "no consumer has it"."""


def with_queue(queue: str) -> str:
    """What to do about a queue, said behind "no consumer has it"."""
    return f"start one with QUEUES={queue}"


class Unserved:
    """What had no audience when it was due: `missed` and not told yet, or told and not served since."""

    def __init__(self) -> None:
        self._missed: set[tuple[QueueName, Kind]] = set()
        self._told: set[tuple[QueueName, Kind]] = set()

    def miss(self, queue: QueueName, kind: Kind) -> None:
        """Take note that a task is due and has no audience."""
        if (queue, kind) not in self._told and len(self._told) + len(self._missed) < MOST_UNSERVED:
            self._missed.add((queue, kind))

    @property
    def missed(self) -> list[tuple[QueueName, Kind]]:
        """Return what was missed and not told, for `news` after a look that begins now."""
        return list(self._missed)

    def news(
        self, missed: Collection[tuple[QueueName, Kind]], serves: Serves
    ) -> list[tuple[QueueName, Kind]]:
        """Return what of `missed` nobody serves after the look. It counts as told."""
        self._missed.difference_update(missed)
        found = [pair for pair in missed if not serves(*pair)]
        self._told.update(found)
        return found

    def forget(self, serves: Serves) -> None:
        """Drop what is served now: when it is not any more, that is told again."""
        self._told = {pair for pair in self._told if not serves(*pair)}
