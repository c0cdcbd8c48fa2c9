# mypy: disable-error-code=unreachable
# It takes a property for a constant.
from __future__ import annotations

from datetime import timedelta

from sluice.consumer.intake.redis_health import RedisHealth
from sluice.consumer.pulse import Pulse
from sluice.core.errors import StoreUnavailable
from sluice.core.events import StoreBack, StoreLost
from tests.unit.support import Clock, Events, virtual


class Redis:
    def __init__(self) -> None:
        self.away = False
        self.pings = 0

    async def try_popping(self) -> None:
        self.pings += 1
        if self.away:
            raise StoreUnavailable("Redis", "gone")


@virtual
async def test_redis_is_up_until_somebody_meets_silence_and_back_when_it_answers() -> None:
    redis, events = Redis(), Events()
    redis_health = RedisHealth(redis, events)
    assert redis_health.up

    await redis_health.step()
    assert redis.pings == 0, "who works with it will notice"

    redis_health.lost(StoreUnavailable("Redis", "timeout"))
    redis_health.lost(StoreUnavailable("Redis", "timeout"))
    assert not redis_health.up

    redis.away = True
    assert await redis_health.step() == timedelta(seconds=1)
    assert not redis_health.up

    redis.away = False
    await redis_health.step()
    assert redis_health.up
    assert events.all == [
        StoreLost("Redis", doing="pull", reason="timeout"),
        StoreBack("Redis", doing="pull"),
    ]


@virtual
async def test_redis_is_down_at_once_for_a_consumer_whose_loop_stands_still() -> None:
    """What waits is found by the rows then: hints that were popped may not bar it for as long as handlers block."""
    redis, events, clock = Redis(), Events(), Clock()
    redis.away = True
    pulse = Pulse(clock)
    redis_health = RedisHealth(redis, events, pulse)

    clock.move(2)
    redis_health.lost(StoreUnavailable("Redis", "timeout"))
    assert not redis_health.up
    assert events.all == []

    for _ in range(2):
        clock.move(2)
        await redis_health.step()
        assert not redis_health.up
    assert events.all == [StoreLost("Redis", doing="pull", reason="gone")]


@virtual
async def test_without_a_redis_it_is_never_up() -> None:
    events = Events()
    redis_health = RedisHealth(None, events)

    await redis_health.step()
    redis_health.lost(StoreUnavailable("Redis", "none"))

    assert not redis_health.up
    assert events.all == []
