"""Backlogs whose ids get lost, and the turns of republish that find them again."""

from __future__ import annotations

from datetime import timedelta

from consumer.upkeep.republish import SHORT, Republish
from core.events import UpkeepDone
from core.ids import new_consumer_id
from core.task import TaskId
from tests.support.stores import DEFAULT_LIST, ECHO, Stores, new

LEASE = timedelta(seconds=10)
SLACK = timedelta(seconds=3)
MANY = SHORT + 100
"""Entries enough for a list not to count as running dry."""


def new_republish(stores: Stores) -> Republish:
    return Republish(store=stores.upkeep, ready=stores.ready, lease=LEASE, report=stores.events.append)


async def turn(stores: Stores, republish: Republish) -> timedelta:
    await stores.sql("UPDATE upkeep SET next_run_at = now()")
    return await republish.step()


async def turns(stores: Stores, republish: Republish, n: int = 6) -> None:
    """Turns enough for a lap to begin, go on and end, each as if seconds lay between them."""
    for _ in range(n):
        await turn(stores, republish)
        await stores.sql(
            "UPDATE upkeep SET cursor = (SELECT json_object_agg(key, jsonb_set(value::jsonb, '{began}', "
            "to_jsonb(CAST(value ->> 'began' AS timestamptz) - interval '5 seconds'))) FROM json_each(cursor)) "
            "WHERE CAST(cursor AS text) <> '{}'"
        )


async def backlog(stores: Stores, n: int, *, listed: bool = True, **values: object) -> list[TaskId]:
    """Pending rows a second apart, the oldest first, the youngest ten seconds old."""
    tasks = [new(**values) for _ in range(n)]  # type: ignore[arg-type]
    await (stores.submit_and_push(tasks) if listed else stores.submit(*tasks))
    ids = [task.id for task in tasks]
    await stores.raw.execute(
        "UPDATE tasks SET run_at = now() - (10 + $2 - place) * interval '1 second', "
        "created_at = now() - (10 + $2 - place) * interval '1 second' "
        "FROM unnest($1::uuid[]) WITH ORDINALITY AS old (id, place) WHERE tasks.id = old.id",
        ids,
        n,
    )
    return ids


async def lose(stores: Stores, ids: list[TaskId]) -> None:
    for task_id in ids:
        assert await stores.redis("LREM", stores.keys.ready(DEFAULT_LIST), 0, str(task_id)) == 1


async def start(stores: Stores, n: int) -> list[TaskId]:
    """What a consumer does with the next `n` ids."""
    found = await stores.ready.pop([DEFAULT_LIST], n)
    assert found is not None
    await stores.claims.claim(found[1], consumer=new_consumer_id(), kinds=[ECHO])
    return found[1]


def pushed(stores: Stores) -> int:
    return sum(event.count for event in stores.events if isinstance(event, UpkeepDone))
