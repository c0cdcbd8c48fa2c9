"""What the nemesis does to our own processes: signals to one, to its group, and to what it started."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from random import Random

import psutil

from tests.chaos.member import Member
from tests.chaos.mix import COMPUTE, Asked
from tests.chaos.plan import Planned
from tests.chaos.server_faults import Act
from tests.chaos.stand import Stand

FORK_SERVER = "sluice.consumer.runs.cpu.process"
SOON = 5.0


def signaled(number: signal.Signals) -> Act:
    """A signal to the process alone; it is started again after the planned time."""

    async def act(stand: Stand, planned: Planned, _: Random) -> bool:
        struck = await _end(stand, planned, lambda member: member.send(number), wait=number != signal.SIGKILL)
        await _restarted(stand, planned)
        return struck

    return act


async def group_told_to_stop(stand: Stand, planned: Planned, _: Random) -> bool:
    """SIGTERM to the process and all that it started, while children of it are at work."""
    await _computing(stand)
    struck = await _end(stand, planned, lambda member: member.send_to_group(signal.SIGTERM), wait=True)
    await _restarted(stand, planned)
    return struck


async def paused(stand: Stand, planned: Planned, _: Random) -> bool:
    member = stand.members[planned.target]
    struck = member.send(signal.SIGSTOP)
    try:
        await asyncio.sleep(planned.seconds)
    finally:
        member.send(signal.SIGCONT)
    return struck


async def fork_server_stopped(stand: Stand, planned: Planned, random: Random) -> bool:
    """Its fork server stands still, and for good: whoever needs children must do without it, or have another."""
    member = stand.members[planned.target]
    server = await _computing(stand, member)
    if server is not None:
        stand.stopped.append(server)
        server.suspend()
    until = asyncio.get_running_loop().time() + planned.seconds
    while asyncio.get_running_loop().time() < until:
        for cancel_after in (None, random.uniform(0.05, 1.0)):
            stand.asked.append(Asked(_computation(0.1), cancel_after))
        await asyncio.sleep(1)
    return server is not None


async def _computing(stand: Stand, member: Member | None = None) -> psutil.Process | None:
    """Have children at work everywhere; the fork server of `member` once it has one."""
    deadline = asyncio.get_running_loop().time() + SOON
    server = None
    while server is None and asyncio.get_running_loop().time() < deadline:
        stand.asked.extend(Asked(_computation(2.0)) for _ in range(4))
        await asyncio.sleep(0.5)
        server = None if member is None or member.pid is None else _fork_server(member.pid)
        if member is None:
            deadline = min(deadline, asyncio.get_running_loop().time() + 1.0)
    return server


def _computation(seconds: float) -> dict[str, object]:
    return {"kind": COMPUTE, "payload": {"seconds": seconds, "idle": True}}


def _fork_server(pid: int) -> psutil.Process | None:
    with suppress(psutil.Error):
        for child in psutil.Process(pid).children():
            if FORK_SERVER in " ".join(child.cmdline()) and child.status() != psutil.STATUS_STOPPED:
                return child
    return None


async def _end(stand: Stand, planned: Planned, send: Callable[[Member], bool], *, wait: bool) -> bool:
    """Send it, and wait for the end that it asks for; whether it was there to take it."""
    member = stand.members[planned.target]
    member.restart_after = planned.seconds
    before = len(member.statuses)
    struck = send(member)
    deadline = asyncio.get_running_loop().time() + stand.settings.drain + 5
    while wait and struck and len(member.statuses) == before and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.01)
    return struck


async def _restarted(stand: Stand, planned: Planned) -> None:
    await asyncio.sleep(planned.seconds)
    with suppress(AssertionError):
        await stand.ready(planned.target, within=20)
