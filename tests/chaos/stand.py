"""The system under test, on this machine alone: servers, a wire before each for each process, API and consumers."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import psutil

from sluice.cli.embedded import Servers, Urls
from sluice.cli.migrate import upgrade
from tests.chaos import truth
from tests.chaos.client import Client
from tests.chaos.history import History
from tests.chaos.member import Member
from tests.chaos.mix import Asked, queues
from tests.chaos.wire import HttpTalk, PostgresTalk, RedisTalk, Wire
from tests.support.eventually import eventually

POSTGRESQL, REDIS = "postgresql", "redis"
API = "api"
CONNECTIONS = 110
"""What PostgreSQL takes: the processes' own pools, and a limit that idle connections reach soon."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One run's figures. Seconds."""

    lease: float = 3.0
    drain: float = 3.0
    capacity: int = 20
    consumers: int = 3
    queues: int = 200


@dataclass(frozen=True, slots=True)
class Stand:
    """All of it, up and running. `wires` are by process and server; `front` lies before the API.

    The last of `consumers` serves other kinds than the rest, on the same queues. What a fault wants to have submitted
    it lays in `asked`. Processes that were `stopped` for good are killed at the end of the run.
    """

    directory: Path
    settings: Settings
    urls: Urls
    servers: Servers
    members: dict[str, Member]
    wires: dict[tuple[str, str], Wire]
    front: Wire
    client: Client
    history: History
    consumers: list[str]
    asked: deque[Asked]
    stopped: list[psutil.Process]

    @asynccontextmanager
    async def postgres(self) -> AsyncIterator[asyncpg.Connection[Any]]:
        """A connection of our own, beside every wire."""
        connection: asyncpg.Connection[Any] = await asyncpg.connect(self.urls.database_url, timeout=10)
        try:
            yield connection
        finally:
            connection.terminate()

    async def ready(self, *names: str, within: float = 60.0) -> None:
        """Until these members work."""
        await eventually(lambda: all(self.members[name].started() for name in names), timeout=within)

    def wires_to(self, server: str, member: str = "*") -> list[Wire]:
        """The wires to one server, of one process or of all."""
        return [wire for (name, to), wire in self.wires.items() if to == server and member in {"*", name}]


@asynccontextmanager
async def raised(directory: Path, settings: Settings, random: Random) -> AsyncIterator[Stand]:
    """The stand in `directory`; at the end no process of it is left."""
    _allow_many_files()
    (directory / "servers").mkdir(parents=True)
    (directory / "servers").chmod(0o711)
    servers = Servers(
        directory / "servers", ephemeral=True, postgres_settings={"max_connections": str(CONNECTIONS)}
    )
    async with AsyncExitStack() as stack:
        urls = await stack.enter_async_context(servers)
        await upgrade(urls.database_url)
        history = History(directory / "driver.jsonl")
        stack.callback(history.close)
        consumers = [f"consumer-{number}" for number in range(1, settings.consumers + 2)]
        wires: dict[tuple[str, str], Wire] = {}
        for name in (API, *consumers):
            wires[name, POSTGRESQL] = await _wire(stack, Wire(urls.database_url, PostgresTalk, random))
            wires[name, REDIS] = await _wire(stack, Wire(urls.redis_url, RedisTalk, random))
        port = _free_port()
        front = await _wire(stack, Wire(f"http://127.0.0.1:{port}", HttpTalk, random))
        stand = Stand(
            directory=directory,
            settings=settings,
            urls=urls,
            servers=servers,
            members={
                name: Member(
                    name,
                    ["api", "--port", str(port)] if name == API else ["consumer"],
                    {
                        "DATABASE_URL": wires[name, POSTGRESQL].url,
                        "REDIS_URL": wires[name, REDIS].url,
                        "HANDLERS": "tests.chaos.other_handlers"
                        if name == consumers[-1]
                        else "tests.chaos.handlers",
                        "QUEUES": ",".join(queues(settings.queues)),
                        "WORKER_QUEUE_MAXSIZE": str(settings.capacity),
                        "LEASE_SECONDS": str(settings.lease),
                        "DRAIN_SECONDS": str(settings.drain),
                    },
                    directory,
                    history,
                )
                for name in (API, *consumers)
            },
            wires=wires,
            front=front,
            client=Client(front.port),
            history=history,
            consumers=consumers,
            asked=deque(),
            stopped=[],
        )
        async with stand.postgres() as connection:
            await connection.execute(truth.TABLES)
        async with _running(stand):
            yield stand


@asynccontextmanager
async def _running(stand: Stand) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        for member in stand.members.values():
            group.create_task(member.keep())
        try:
            await stand.ready(*stand.members)
            yield
        finally:
            stand.client.close()
            for member in stand.members.values():
                member.end()
            for process in stand.stopped:
                with suppress(psutil.NoSuchProcess):
                    process.kill()


async def _wire(stack: AsyncExitStack, wire: Wire) -> Wire:
    await wire.open()
    stack.push_async_callback(wire.close)
    stack.callback(wire.resume)
    return wire


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _allow_many_files() -> None:
    """A connection through a wire takes four descriptors of this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 8192 if hard == resource.RLIM_INFINITY else min(8192, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
