"""What befalls a simulated world: outages, dead and frozen processes, and Redis that loses what it held."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

from tests.simulation.api import SimApi
from tests.simulation.links import KEYS
from tests.simulation.odd_disasters import STEP, OddDisasters
from tests.simulation.plan import Disaster
from tests.simulation.ports import Server, State

if TYPE_CHECKING:
    from tests.simulation.process import SimProcess
    from tests.simulation.world import World


class Disasters:
    """Strikes the world as its plan says; `random` is the world's own source."""

    def __init__(self, world: World, random: Random) -> None:
        self._world = world
        self._random = random
        self._refusals: list[float] = []
        self._odd = OddDisasters(world, random)

    async def strike(self, disaster: Disaster) -> None:
        """When its time comes, and until it is over."""
        await asyncio.sleep(disaster.at)
        self._world.note(f"disaster: {disaster.what} for {disaster.seconds:.3f} s")
        self._world.history.marks[f"disaster: {disaster.what}"] += 1
        what, seconds = disaster.what, disaster.seconds
        if what in {"kill", "pause", "terminate"}:
            victim = self._random.choice(self._world.consumers) if self._world.consumers else None
            if victim is not None:
                _befall(victim, what, seconds)
        elif what.startswith("postgresql"):
            await self._outage(what, seconds)
        elif what in {"redis refuses", "redis dark"}:
            self._world.redis_server.hang_up()
            self._world.redis.change(State.REFUSING if what == "redis refuses" else State.DARK)
            await asyncio.sleep(seconds)
            self._world.redis.change(State.UP)
        elif what == "readonly":
            self._world.redis_server.readonly = True
            await asyncio.sleep(seconds)
            self._world.redis_server.readonly = False
        elif what == "redis full":
            self._world.redis_server.full = True
            await asyncio.sleep(seconds)
            self._world.redis_server.full = False
        elif what == "kill api":
            await self._replace_api()
        elif what.startswith("clock"):
            await self._odd.step(STEP if what == "clock ahead" else -STEP, seconds)
        elif what == "row locked":
            await self._odd.lock_rows(seconds)
        else:
            self._meddle(what)

    async def _outage(self, what: str, seconds: float) -> None:
        begin = self._world.loop.time()
        self._world.outages.append((begin, float("inf")))
        refusing = what == "postgresql refuses"
        if refusing:
            self._refusals.append(begin)
            for process in self._world.consumers:
                process.links.roll_back(commits=True)
        self._world.postgresql.change(State.REFUSING if refusing else State.DARK)
        await asyncio.sleep(seconds)
        self.restore(self._world.postgresql)

    def too_soon_to_judge(self) -> bool:
        """Whether everybody was cut off for more than a lease, and that ended less than a lease ago."""
        now, lease = self._world.loop.time(), self._world.plan.lease
        return self._world.plan.calm_postgresql and any(
            begin in self._refusals and end - begin > lease and now - end < 0.9 * lease
            for begin, end in self._world.outages
        )

    def restore(self, server: Server) -> None:
        """It is up again, and no outage lasts longer."""
        server.change(State.UP)
        now = self._world.loop.time()
        self._world.outages = [(begin, min(end, now)) for begin, end in self._world.outages]

    async def _replace_api(self) -> None:
        if self._world.api is not None:
            self._world.api.die()
            self._world.api = None
            await asyncio.sleep(self._random.uniform(0.05, 1.0))
            self._world.api = SimApi(self._world)

    def _meddle(self, what: str) -> None:
        """With what Redis holds."""
        server, random = self._world.redis_server, self._random
        lists = sorted(key for key in server.keys if ":ready:" in key)
        key = random.choice(lists) if lists else KEYS.probe("nobody")
        if what == "redis restarts empty":
            server.restart_empty()
        elif what == "flush":
            server.flush()
        elif what == "lose":
            server.lose(lambda _: random.random() < 0.5)
        elif what == "double":
            server.double(random)
        elif what == "spoil":
            server.spoil(key)
        elif what == "litter" and server.type(key) != "string":
            server.litter(key, random.choice((b"", b"no id", b"\xff" * 40)), oldest=random.random() < 0.5)


def _befall(victim: SimProcess, what: str, seconds: float) -> None:
    if what == "kill":
        victim.die("killed")
    elif what == "pause":
        victim.pause(seconds)
    else:
        victim.terminate()
