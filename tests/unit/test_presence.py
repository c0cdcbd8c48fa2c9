# mypy: disable-error-code=unreachable
# It takes a property for a constant.
from __future__ import annotations

from datetime import timedelta

from sluice.consumer.intake.redis_health import Presence
from sluice.core.errors import StoreUnavailable
from sluice.core.events import StoreBack, StoreLost
from tests.unit.support import Events, virtual


class Redis:
    def __init__(self) -> None:
        self.away = False
        self.pings = 0

    async def try_popping(self) -> None:
        self.pings += 1
        if self.away:
            raise StoreUnavailable("Redis", "gone")


@virtual
async def test_redis_is_here_until_somebody_meets_silence_and_back_when_it_answers() -> None:
    redis, events = Redis(), Events()
    presence = Presence(redis, events)
    assert presence.here

    await presence.step()
    assert redis.pings == 0, "who works with it will notice"

    presence.lost("timeout")
    presence.lost("timeout")
    assert not presence.here

    redis.away = True
    assert await presence.step() == timedelta(seconds=1)
    assert not presence.here

    redis.away = False
    await presence.step()
    assert presence.here
    assert events.all == [
        StoreLost("Redis", doing="pull", reason="timeout"),
        StoreBack("Redis", doing="pull"),
    ]


@virtual
async def test_without_a_redis_it_is_never_here() -> None:
    events = Events()
    presence = Presence(None, events)

    await presence.step()
    presence.lost("none")

    assert not presence.here
    assert events.all == []
