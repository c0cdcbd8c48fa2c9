"""What the suite's tests begin with."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from sluice.core.ids import new_consumer_id
from sluice.core.outcome import Completion, Failing, Failure, Return
from sluice.core.task import (
    DEFAULT_QUEUE,
    Claim,
    ConsumerId,
    FencingToken,
    JsonText,
    Kind,
    NewTask,
    QueueName,
    TaskId,
)
from sluice.db.claims import Lane
from sluice.db.consumers import Registration
from tests.conformance.world import Row, World
from tests.support.clocked import ORIGIN

START = ORIGIN
"""When a test begins, as the database sees it."""
SECOND = timedelta(seconds=1)
NOTHING = timedelta()
FAILURE = Failure("ValueError", "no")


async def claimed(world: World, *tasks: NewTask, consumer: ConsumerId | None = None) -> list[Claim]:
    """Submit them and claim them, in their order."""
    await world.tasks.submit(tasks)
    me = consumer or new_consumer_id()
    claims = await world.claims.claim(
        [task.id for task in tasks], consumer=me, kinds=[task.kind for task in tasks]
    )
    return sorted(claims, key=lambda claim: [task.id for task in tasks].index(claim.id))


async def living(
    world: World, *, lease: timedelta = 10 * SECOND, kinds: Iterable[str] = ("echo",)
) -> ConsumerId:
    """A consumer that has just registered."""
    me = new_consumer_id()
    await world.consumers.register(
        me, Registration("host", 1, [DEFAULT_QUEUE], [Kind(kind) for kind in kinds], 100, lease)
    )
    return me


async def dies(world: World, consumer: ConsumerId) -> None:
    """Others declare it dead."""
    beats = [beat for beat in await world.upkeep.beats() if beat.consumer == consumer]
    assert await world.upkeep.declare_dead(beats) == 1


async def row(world: World, task_id: TaskId) -> Row:
    """One row of tasks."""
    return (await world.rows("tasks"))[task_id]


def lane(priority: int = 5, *, kind: str = "echo", queue: str = "default") -> Lane:
    """A lane of the queue and kind that tasks have when nothing is said."""
    return Lane(QueueName(queue), Kind(kind), priority)


def done(claim: Claim, *, stale: int = 0, result: str | None = None) -> Completion:
    """A completion under the claim's token, or one so much older."""
    return Completion(
        claim.id, FencingToken(claim.token - stale), None if result is None else JsonText(result)
    )


def failing(claim: Claim, *, stale: int = 0, delay: timedelta | None = None) -> Failing:
    """A failure; without a delay for good."""
    return Failing(claim.id, FencingToken(claim.token - stale), FAILURE, delay)


def back(claim: Claim, *, stale: int = 0, delay: timedelta = timedelta()) -> Return:
    """The claim is handed back."""
    return Return(claim.id, FencingToken(claim.token - stale), delay)
