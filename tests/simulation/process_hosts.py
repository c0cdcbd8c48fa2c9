"""The threads of one simulated process, each a host of the loop.

The main one may be blocked while the beat goes on, all may be frozen together, and all die together.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sluice.consumer.liveness.heartbeat import Heartbeat
from tests.simulation.hosts import Host
from tests.simulation.loop import SimLoop

if TYPE_CHECKING:
    from tests.simulation.world import World


class BeatHost:
    """BeatThread's place: the same heartbeat on a host beside the main one."""

    def __init__(self, heartbeat: Heartbeat, *, loop: SimLoop, host: Host) -> None:
        self._heartbeat = heartbeat
        self._loop = loop
        self._host = host
        self._life: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._life = self._loop.spawn(self._host, self._heartbeat.run())

    async def stop(self) -> None:
        self._loop.call_soon(self._heartbeat.request_stop, context=self._loop.context(self._host))
        if self._life is not None:
            await asyncio.wait({self._life})


@dataclass(frozen=True, slots=True)
class Freeze:
    """When a process stood still."""

    begin: float
    end: float


class ProcessHosts:
    """The main thread, the beat's and the handlers'; they stand still as the world says."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.loop: SimLoop = world.loop
        self.dead = False
        self.paused = False
        self.freezes: list[Freeze] = []
        self.main = self.loop.host(f"{name}.main")
        self.beat = self.loop.host(f"{name}.beat")
        self._hosts = [self.main, self.beat]
        self._threads = 0

    def pause(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after `seconds`."""
        if self.dead or self.paused:
            return
        self.paused = True
        self._freeze(list(self._hosts), seconds)
        self.loop.call_later(seconds, self._resumed, context=self.world.context)

    def _resumed(self) -> None:
        self.paused = False

    def block(self, seconds: float) -> None:
        """A handler keeps the main thread; the beat's goes on."""
        self._freeze([self.main], seconds)

    def _freeze(self, hosts: list[Host], seconds: float) -> None:
        now = self.loop.time()
        self.freezes.append(Freeze(now, now + seconds))
        for host in hosts:
            host.pause()
            self.loop.call_later(seconds, host.resume, context=self.world.context)

    def was_frozen(self, since: float) -> bool:
        """Whether it stood still at some time since then."""
        return any(freeze.end >= since for freeze in self.freezes)

    def thread_host(self) -> Host:
        """A host for one more thread or child."""
        self._threads += 1
        host = self.loop.host(f"{self.name}.{self._threads}", self.main)
        host.pauses = int(self.paused)
        self._hosts = [one for one in self._hosts if not one.dead] + [host]
        return host
