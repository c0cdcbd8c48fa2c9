"""Every key that a consumer reads holds something else: it is dropped and counted, and every task runs (S1 entries)."""

from __future__ import annotations

from itertools import cycle

from sluice.core.task import PRIORITIES, QueueName
from tests.outages.conftest import Everything
from tests.support.counting import charged, completed, payload
from tests.support.eventually import eventually
from tests.support.stores import Stores, new

QUEUES = ("default", "other")
LISTS = [(queue, priority) for queue in QUEUES for priority in PRIORITIES]
OTHER_TYPES = (
    ("SET", "{key}", "not a list"),
    ("HSET", "{key}", "a", "b"),
    ("SADD", "{key}", "a"),
    ("ZADD", "{key}", "1", "a"),
    ("XADD", "{key}", "*", "a", "b"),
)
GARBAGE = [b"", b"\xff\x00", b"not-an-id", b"x" * 5000, b"00000000-0000-0000-0000-00000000000", b"{}"]


async def test_keys_of_other_types_while_a_consumer_waits_and_works(everything: Everything) -> None:
    e, stores, consumers = everything, everything.stores, everything.consumers
    consumer = await consumers.start("--queues", ",".join(QUEUES), LEASE_SECONDS="2")
    [wake] = await eventually(lambda: _wake_keys(e))
    keys = [wake, *await _keys(stores)]
    for key, command in zip(keys, cycle(OTHER_TYPES), strict=False):
        await stores.redis(*(word.format(key=key) for word in command))
    tasks = [new("count", queue=QueueName(queue), priority=priority) for queue, priority in LISTS]
    await stores.submit(*tasks)
    await eventually(lambda: completed(stores, len(tasks)), timeout=20)
    assert await charged(stores) == 0
    assert sum(event["n"] for event in consumer.events("redis.garbage")) >= 1
    assert not consumer.events("store.lost")
    assert (await consumer.stop())[0] == 0


async def test_garbage_in_every_list_and_on_every_channel(everything: Everything) -> None:
    e, stores, consumers = everything, everything.stores, everything.consumers
    end = consumers.file("end")
    consumer = await consumers.start(
        "--queues", ",".join(QUEUES), LEASE_SECONDS="2", WORKER_QUEUE_MAXSIZE="5"
    )
    running = [new("nap", payload=payload(until=str(end))) for _ in range(5)]
    await stores.submit_and_push(running)
    await eventually(lambda: len(consumers.runs("started")) == 5)
    tasks = [new("count", queue=QueueName(queue), priority=priority) for queue, priority in LISTS]
    keys = await _keys(stores)
    for garbage in GARBAGE:
        for key in keys:
            await stores.redis("RPUSH", key, garbage)
        assert await stores.redis("PUBLISH", stores.keys.cancels, garbage) == 1
    await stores.submit_and_push(tasks)
    end.touch()
    await eventually(lambda: completed(stores, len(tasks) + 5), timeout=20)
    assert await charged(stores) == 0

    def counted() -> int:
        return sum(event["n"] for event in consumer.events("redis.garbage"))

    await eventually(lambda: counted() == len(GARBAGE) * len(LISTS))  # looks may have found the tasks before
    assert not consumer.events("step.failed")
    assert e.redis.connections > 0


async def _keys(stores: Stores) -> list[str]:
    """Those of the lists that the consumer pops."""
    heard = [await stores.heard(priority, queue=queue, kind="count") for queue, priority in LISTS]
    return [stores.keys.ready(ready) for ready in heard]


async def _wake_keys(e: Everything) -> list[str]:
    """The key that ends this consumer's waiting pop, as it names it to Redis."""
    found: set[str] = set()
    e.redis.on_sent = lambda data: found.update(
        word.decode() for word in data.split(b"\r\n") if word.startswith(e.stores.keys.wake("").encode())
    )
    await eventually(lambda: found)
    return sorted(found)
