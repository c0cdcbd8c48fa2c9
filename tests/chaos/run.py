"""One chaos run: measure what the machine can do, load it with a share of that, break things, heal, settle, collect."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import psutil

from tests.chaos import faults, truth
from tests.chaos.load import Load
from tests.chaos.machine import Others
from tests.chaos.plan import Planned, Round
from tests.chaos.stand import Settings, Stand, raised

Progress = Callable[[str, float], None]
"""Told what goes on, and which share of the faults is over."""
SHARE = 0.4
"""Of the capacity: what is offered."""
LEAST_RATE = 20.0
"""Tasks a second: on a machine that is short of everything, a load is still one."""
RUNNING = "SELECT count(*) FROM tasks WHERE status IN ('pending', 'processing')"


@dataclass(frozen=True, slots=True)
class Script:
    """What a run does. Seconds; `most_rate` bounds the tasks offered in one."""

    seed: int
    rounds: list[Round]
    quiet: float
    calm: float = 5.0
    measure: float = 4.0
    most_rate: float = 2000.0
    settle: float = 90.0
    settings: Settings = field(default_factory=Settings)


async def perform(script: Script, directory: Path, progress: Progress) -> dict[str, Any]:
    """The facts of the run that no history has; everything else is in the files of `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    random = Random(script.seed)
    async with raised(directory, script.settings, random) as stand:
        load = Load(stand.client, stand.history, random, queues=script.settings.queues, asked=stand.asked)
        progress("measuring the capacity", 0)
        capacity = await _capacity(stand, load, script.measure)
        rate = max(LEAST_RATE, min(script.most_rate, SHARE * capacity))
        done = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            sampling = group.create_task(_sample(stand, done))
            offering = group.create_task(load.offer(rate, done.is_set))
            stand.history.add("load", rate=rate)
            await asyncio.sleep(script.calm)
            await _nemesis(stand, script, progress)
            done.set()
            await offering
            stand.history.add("load.end")
            await sampling
        progress("settling", 1)
        left = await _settle(stand, script.settle)
        await _leave(stand)
        behind = await _left_behind(stand)
        async with stand.postgres() as connection:
            final = await truth.final(connection)
    facts = {
        "seed": script.seed,
        "tasks_per_second": round(capacity, 1),
        "offered_per_second": round(rate, 1),
        "quiet": script.quiet,
        "left": left,
        "left_behind": behind,
        "settings": asdict(script.settings),
        **final,
    }
    (directory / "facts.json").write_text(json.dumps(facts))
    return facts


async def _capacity(stand: Stand, load: Load, seconds: float) -> float:
    """Tasks completed in a second while clients submit as fast as they can; the first quarter warms up."""
    clock = time.monotonic
    began = clock()
    async with stand.postgres() as connection, asyncio.TaskGroup() as group:
        group.create_task(load.saturate(24, lambda: clock() - began > seconds))
        counts = []
        for at in (seconds / 4, seconds):
            await asyncio.sleep(began + at - clock())
            ended = await connection.fetchval("SELECT count(*) FROM tasks WHERE finished_at IS NOT NULL")
            counts.append((clock(), ended))
    (from_, before), (to, after) = counts
    await _settle(stand, 60)
    return float((after - before) / (to - from_))


async def _nemesis(stand: Stand, script: Script, progress: Progress) -> None:
    for number, faults_of_round in enumerate(script.rounds):
        names = " and ".join(f"{fault.name} ({fault.target})" for fault in faults_of_round)
        progress(names, number / len(script.rounds))
        async with asyncio.TaskGroup() as group:
            for fault in faults_of_round:
                group.create_task(_later(stand, fault))
        progress(f"after {names}", (number + 0.5) / len(script.rounds))
        await asyncio.sleep(script.quiet)


async def _later(stand: Stand, fault: Planned) -> None:
    await asyncio.sleep(fault.after)
    await faults.perform(stand, fault)


async def _sample(stand: Stand, done: asyncio.Event) -> None:
    """Once a second, as far as PostgreSQL answers."""
    others = Others()
    while not done.is_set():
        try:
            async with stand.postgres() as connection:
                while not done.is_set():
                    async with asyncio.timeout(5):
                        backlog = await truth.sample(connection)
                    stand.history.add("sample", **backlog, others=others())
                    await asyncio.sleep(1)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await asyncio.sleep(0.5)


async def _settle(stand: Stand, seconds: float) -> int:
    """Until nothing is left to do; how much is left when the time is over."""
    deadline = time.monotonic() + seconds
    async with stand.postgres() as connection:
        while left := int(await connection.fetchval(RUNNING)):
            if time.monotonic() > deadline:
                return left
            await asyncio.sleep(0.1)
    return 0


async def _leave(stand: Stand) -> None:
    """SIGTERM to all, for good: they are healthy, so each must end by itself and with 0."""
    stand.history.add("leave")
    for member in stand.members.values():
        member.leave()
    async with asyncio.timeout(stand.settings.drain + 30):
        while any(member.alive for member in stand.members.values()):
            await asyncio.sleep(0.02)


async def _left_behind(stand: Stand, seconds: float = 2.0) -> list[str]:
    """What our processes started and nobody ended, a moment after the last of them: member and command."""
    leaders = {pid: name for member in stand.members.values() for pid, name in member.pids.items()}
    deadline = time.monotonic() + seconds
    while True:
        found = [
            f"{leaders[session]}: {_command(process)}"
            for process in psutil.process_iter()
            if (session := _session(process.pid)) in leaders and _lives(process)
        ]
        if not found or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.1)


def _session(pid: int) -> int:
    with suppress(OSError):
        return os.getsid(pid)
    return 0


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def _command(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())[:80]
    return "?"
