"""What nobody serves, in front of everything: foreign kinds in our queues, and queues that no consumer names."""

from __future__ import annotations

from random import Random
from uuid import UUID

from sluice.core.task import Kind, NewTask, QueueName, TaskId

MOST = 300
_KINDS = 40


def crowd(random: Random, n: int) -> list[NewTask]:
    """`n` tasks that are due before any other, of the highest priority."""
    return [
        NewTask(
            id=TaskId(UUID(int=1 << 127 | random.getrandbits(62) << 20 | number)),
            kind=Kind(f"gone-{number % _KINDS}"),
            queue=QueueName("default" if number % 2 else f"gone-{number}"),
            priority=9,
        )
        for number in range(n)
    ]
