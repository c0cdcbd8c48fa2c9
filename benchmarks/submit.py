"""How many tasks are taken in over HTTP, one by one and in batches. Each answer is counted, and so is each row.

Beside it: a route that does nothing, one that opens a transaction for each request, our own with an INSERT for each
request, and the bare insert.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.cpu import Meter
from benchmarks.drain import SETTINGS as CONSUMER
from benchmarks.repeat import repeated
from benchmarks.results import Comparison, Run, Turn, turns
from benchmarks.stage import BrokenRun, Program, Stage, until

OURS, NOTHING, TRANSACTION = "sluice", "does nothing", "one transaction per request"
UNBATCHED, BARE = "an INSERT for each", "bare statements"
MANY, ONE, BATCH = "submit, 64 connections", "submit, 1 connection", "submit, batches of 1,000"
COMPARISONS = (
    Comparison("POST /tasks, 64 connections", MANY, OURS, NOTHING, target=0.6),
    Comparison("POST /tasks, 64 connections", MANY, OURS, TRANSACTION, target=4),
    Comparison("POST /tasks, 1 connection", ONE, OURS, NOTHING),
    Comparison("POST /tasks, 1 connection", ONE, OURS, TRANSACTION, target=1),
    Comparison("POST /tasks, 1 connection, p50", f"{ONE}, p50", OURS, UNBATCHED, most=1.15),
    Comparison("POST /tasks/batch, 1,000 each", BATCH, OURS, BARE, target=0.5, suffices=40_000),
)
SECONDS = 4.0
_PATHS = {OURS: "/tasks", NOTHING: "/nothing", TRANSACTION: "/transaction", UNBATCHED: "/tasks"}
_SIDES = (OURS, NOTHING, TRANSACTION)
_CREATED = "201"


@dataclass(frozen=True, slots=True)
class Shape:
    """How requests come: from so many connections, with so many tasks in each (0: a single one)."""

    workload: str
    connections: int
    tasks: int = 0


SINGLES = (Shape(MANY, 64), Shape(ONE, 1))
ALONE = Shape(f"{ONE}, p50", 1)
BATCHES = (Shape(BATCH, 4, 1000),)
WIDE_SINGLES = (Shape("submit, 8 connections", 8), Shape("submit, 256 connections", 256))
WIDE_BATCHES = (Shape("submit, batches of 100", 4, 100), Shape("submit, batches of 10,000", 4, 10_000))
WIDE_COMPARISONS = (
    *(
        Comparison(f"POST /tasks, {shape.connections} connections", shape.workload, OURS, beside)
        for shape in WIDE_SINGLES
        for beside in (NOTHING, TRANSACTION)
    ),
    *(
        Comparison(f"POST /tasks/batch, {shape.tasks:,} each", shape.workload, OURS, BARE)
        for shape in WIDE_BATCHES
    ),
)


@dataclass(frozen=True, slots=True)
class Site:
    """A server of ours: where it listens, and its process."""

    port: int
    program: Program


async def run(stage: Stage, *, rounds: int, repeats: int, wide: bool = False) -> AsyncIterator[Run]:
    """Every run of every side, as it is done. All servers run the whole time; one at a time is asked.

    `wide`: other numbers of connections and other sizes of batches as well.
    """
    singles: list[tuple[Shape, tuple[str, ...]]] = [
        *((shape, _SIDES) for shape in (*SINGLES, *(WIDE_SINGLES if wide else ()))),
        (ALONE, (OURS, UNBATCHED)),
    ]
    batches = (*BATCHES, *(WIDE_BATCHES if wide else ()))
    await stage.fresh()
    await register_kinds(stage)
    async with AsyncExitStack() as stack:
        api = await serve(stage, stack, "api")
        rivals = await serve(stage, stack, "benchmarks.rivals")
        unbatched = await serve(stage, stack, "benchmarks.unbatched")
        sites = {OURS: api, NOTHING: rivals, TRANSACTION: rivals, UNBATCHED: unbatched}
        for shape, sides in singles:
            for turn in turns(sides, rounds):
                async for made in repeated(partial(_singles, stage, sites, shape, turn), repeats):
                    yield made
        for shape in batches:
            for turn in turns((OURS, BARE), rounds):
                async for made in repeated(partial(_batches, stage, api, shape, turn), repeats):
                    yield made
        await api.program.stop()


async def register_kinds(stage: Stage) -> None:
    """Let a consumer register its kinds and leave, as on any site where one has ever run: the API checks them."""
    async with stage.program("consumer", settings=CONSUMER) as consumer, stage.connection() as connection:

        async def registered() -> bool:
            return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM kinds)"))

        await until(registered, every=0.05, program=consumer)
        await consumer.stop()


async def serve(
    stage: Stage, stack: AsyncExitStack, module: str, settings: Mapping[str, str] | None = None
) -> Site:
    """Start a server on a free port of the loopback interface and wait until it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    usual = {"API_HOST": "127.0.0.1", "API_PORT": str(port), "UNKNOWN_KINDS": "refuse"}
    chosen = {**usual, **(settings or {})}
    arguments = [] if module == "api" else [str(port)]
    program = await stack.enter_async_context(stage.program(module, *arguments, settings=chosen))

    async def listens() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            return False
        writer.close()
        return True

    await until(listens, every=0.05, program=program)
    return Site(port, program)


async def _singles(
    stage: Stage, sites: Mapping[str, Site], shape: Shape, turn: Turn, attempt: int
) -> AsyncIterator[Run]:
    for side in turn.order:
        await stage.empty()
        facts = await _load(stage, sites[side], _PATHS[side], shape)
        if side != NOTHING:
            await _check(stage, side, facts["statuses"][_CREATED])
        if shape is ALONE:
            yield Run(shape.workload, side, turn.number, attempt, facts["answer_ms"]["p50"], "ms", facts)
        else:
            yield Run(shape.workload, side, turn.number, attempt, facts.pop("rate"), "requests/s", facts)


async def _batches(stage: Stage, site: Site, shape: Shape, turn: Turn, attempt: int) -> AsyncIterator[Run]:
    for side in turn.order:
        await stage.empty()
        if side == OURS:
            facts = await _load(stage, site, "/tasks/batch", shape)
            await _check(stage, side, facts["statuses"][_CREATED] * shape.tasks)
        else:
            facts = await _bare(stage, shape.tasks)
            await _check(stage, side, facts["rows"])
        yield Run(shape.workload, side, turn.number, attempt, facts.pop("rate"), "tasks/s", facts)


async def _load(stage: Stage, site: Site, path: str, shape: Shape) -> dict[str, Any]:
    arguments = (str(site.port), path, str(shape.connections), str(SECONDS), str(shape.tasks))
    async with stage.program("benchmarks.load", "closed", *arguments) as client:
        with Meter({"server": site.program.pid, **stage.server_pids}) as meter:
            facts = await client.answer()
    if set(facts["statuses"]) != {_CREATED}:
        raise BrokenRun(
            f"{path} answered {facts['statuses']} ({facts.get('refusals')}): {site.program.said()[-2000:]}"
        )
    return {**facts, **meter.facts}


async def _bare(stage: Stage, size: int) -> dict[str, Any]:
    async with stage.program("benchmarks.bare", "insert", str(size), str(SECONDS)) as driver:
        with Meter(stage.server_pids) as meter:
            facts = await driver.answer()
    meter.facts["cpu_seconds"]["driver"] = facts.pop("cpu_seconds")
    return {**facts, **meter.facts}


async def _check(stage: Stage, side: str, accepted: int) -> None:
    """Raise BrokenRun unless there is exactly one row for each task that was accepted."""
    async with stage.connection() as connection:
        rows = await connection.fetchval("SELECT count(*) FROM tasks")
    if rows != accepted:
        raise BrokenRun(f"{side}: {accepted} tasks were accepted, but there are {rows} rows")
