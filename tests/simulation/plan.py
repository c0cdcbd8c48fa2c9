"""What the seed decides before a simulated world begins: settings, tasks, faults and when. Does nothing by itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from random import Random
from uuid import UUID

from sluice.core.task import JsonText, Kind, NewTask, QueueName, TaskId
from tests.simulation.crowd import MOST
from tests.simulation.handlers import BODIES, payload
from tests.simulation.ports import Weather

_LEASES = (0.2, 1.0, 1.0, 2.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_SHORTEST_LEASE = 1.0
_DISASTERS = (
    *("kill", "kill", "pause", "pause", "terminate", "terminate"),
    *("postgresql refuses", "postgresql refuses", "postgresql dark", "redis refuses", "redis dark"),
    *("redis restarts empty", "flush", "lose", "double", "spoil", "litter", "readonly", "kill api"),
)
_ODD = ("clock ahead", "clock back", *("row locked",) * 3, "redis full")
"""What befalls stores that are up and well."""
_LOCKED_SECONDS = 20.0
_CROWDED = 0.1


@dataclass(frozen=True, slots=True)
class Disaster:
    """Something that befalls the world, for `seconds` where it lasts."""

    at: float
    what: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Errand:
    """What a client does: submit a task, and after a while cancel it, retry it, or both."""

    at: float
    task: NewTask
    cancel_after: float | None
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class Plan:
    """One world. `live`: at the end the stores are healed and everything must come to its end.

    The first consumer serves every kind, the others all but those that are `unserved` by them.
    """

    live: bool
    lease: float
    capacity: int
    drain: float
    handler_pool: int
    consumers: int
    queues: tuple[str, ...]
    with_redis: bool
    redis_stays: bool
    chaos_seconds: float
    postgresql: Weather
    redis: Weather
    errands: tuple[Errand, ...]
    disasters: tuple[Disaster, ...]
    unserved: frozenset[str] = frozenset()
    redis_full: bool = False
    """At the end it is up, and takes no push."""
    crowd: int = 0
    """Tasks that are there from the beginning, and that nobody serves."""

    @property
    def calm_postgresql(self) -> bool:
        """Whether PostgreSQL fails in whole outages only, and the lease is one that the product takes."""
        weather = self.postgresql
        return self.lease >= _SHORTEST_LEASE and not (
            weather.before or weather.after or weather.silent or weather.mute or weather.late or weather.cut
        )

    @property
    def patience(self) -> float:
        """How long after the healing everything must have ended."""
        return 180.0 + 40.0 * self.lease


def plan(seed: int) -> Plan:
    """The world of this seed."""
    random, odd = Random(f"{seed}/plan"), Random(f"{seed}/odd")
    lease = random.choice(_LEASES)
    fills_up = odd.random() < 0.15
    chaos = min(max(random.uniform(3.0, 8.0) * lease, 6.0), 240.0)
    queues = ("default",) if random.random() < 0.7 else ("default", "other")
    with_redis = random.random() < 0.85
    return Plan(
        live=random.random() < 0.6,
        lease=lease,
        capacity=random.randint(1, 8),
        drain=random.choice((0.0, 0.5, 2.0, 25.0, 2.5 * lease)),
        handler_pool=random.randint(1, 4),
        consumers=random.randint(1, 3),
        queues=queues,
        with_redis=with_redis,
        redis_stays=random.random() < 0.7,
        chaos_seconds=chaos,
        postgresql=_weather(random),
        redis=_weather(random),
        errands=tuple(_errands(random, lease, chaos, queues)),
        disasters=(*_disasters(random, lease, chaos), *_odd_disasters(odd, lease, chaos)),
        unserved=frozenset(odd.sample(sorted(BODIES), len(BODIES) // 2) if odd.random() < 0.3 else ()),
        redis_full=fills_up,
        crowd=MOST if Random(f"{seed}/crowd").random() < _CROWDED else 0,
    )


def _weather(random: Random) -> Weather:
    """Calm, changeable or foul."""
    most = random.choice((0.0, 0.0, 0.02, 0.06))
    if most == 0.0:
        return Weather(latency=random.choice((0.0005, 0.005)))
    return Weather(
        before=random.uniform(0.0, most),
        after=random.uniform(0.0, most),
        silent=random.uniform(0.0, most / 3),
        mute=random.uniform(0.0, most / 3),
        late=random.uniform(0.0, most / 2),
        cut=random.uniform(0.0, most / 2),
        latency=random.choice((0.0005, 0.005, 0.03)),
    )


def _errands(random: Random, lease: float, chaos: float, queues: tuple[str, ...]) -> list[Errand]:
    kinds = random.sample(sorted(BODIES), random.randint(3, len(BODIES)))
    return [
        _errand(random, number, kinds, lease=lease, chaos=chaos, queues=queues)
        for number in range(random.randint(5, 40))
    ]


def _errand(
    random: Random, number: int, kinds: list[str], *, lease: float, chaos: float, queues: tuple[str, ...]
) -> Errand:
    kind = random.choice(kinds)
    after = random.choice((0.0, 0.01, 0.1, 0.5, lease))
    return Errand(
        at=random.uniform(0.0, chaos * 0.8),
        task=NewTask(
            id=TaskId(UUID(int=(number + 1) << 96 | random.getrandbits(62))),
            kind=Kind(kind),
            queue=QueueName(random.choice(queues)),
            priority=random.choice((0, 5, 5, 9)),
            payload=JsonText(json.dumps(payload(kind, random, lease))),
            delay=random.choice((None, None, None, 0.3, 2.0)),
            max_attempts=random.choice((1, 2, 5)),
            timeout=random.choice((0.3, 2.0, 3600.0, 3600.0)),
        ),
        cancel_after=after if random.random() < 0.3 else None,
        retry_after=random.choice((0.0, 0.0, 0.2, lease)) if random.random() < 0.5 else None,
    )


def _disasters(random: Random, lease: float, chaos: float) -> list[Disaster]:
    return [
        Disaster(
            at=random.uniform(0.0, chaos),
            what=random.choice(_DISASTERS),
            seconds=min(max(lease * random.choice((0.3, 0.9, 1.1, 2.5)), 0.2), 100.0),
        )
        for _ in range(random.randint(1, 8))
    ]


def _odd_disasters(random: Random, lease: float, chaos: float) -> list[Disaster]:
    """From a source of its own, and in some worlds only: the others are as they were without them."""
    if random.random() < 0.6:
        return []
    found = []
    for _ in range(random.randint(1, 2)):
        what = random.choice(_ODD)
        seconds = _LOCKED_SECONDS if what == "row locked" else lease * random.choice((0.3, 1.1, 2.5))
        found.append(Disaster(random.uniform(0.0, chaos * 0.9), what, min(seconds, 100.0)))
    return found
