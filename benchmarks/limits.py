"""What this machine allows: the disk, PostgreSQL, Valkey, the HTTP server and the event loop, each as bare as can be.

The limits that belong to one workload stand there: the bare statements beside drain and submit, the route that does
nothing beside submit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from benchmarks import asyncio_ceiling, postgres_tools, valkey_ceiling
from benchmarks.cpu import Meter
from benchmarks.deep import Say, tell
from benchmarks.repeat import repeated
from benchmarks.results import Comparison, Run, Turn, turns
from benchmarks.stage import BrokenRun, Stage
from benchmarks.submit import NOTHING, Site, serve

DISPATCH, DISK, POSTGRESQL, VALKEY, HTTP = (
    "limit: event loop",
    "limit: disk",
    "limit: PostgreSQL",
    "limit: Valkey",
    "limit: HTTP",
)
RAW, NULL = "raw ASGI", NOTHING
SELECT_8, INSERT_1, INSERT_8 = (
    "SELECT 1, 8 clients",
    "one row a commit, 1 client",
    "one row a commit, 8 clients",
)
_LOOPS = ("uvloop", "asyncio")
COMPARISONS = (
    Comparison("a task for each coroutine", DISPATCH, "a task each, uvloop", "plain await, uvloop"),
    Comparison(
        "an eager task for each coroutine", DISPATCH, "an eager task each, uvloop", "plain await, uvloop"
    ),
    Comparison("runners at a queue", DISPATCH, "100 runners at a queue, uvloop", "a task each, uvloop"),
    Comparison("one row a commit, 8 clients", POSTGRESQL, INSERT_8, SELECT_8),
    Comparison("FastAPI route that does nothing", HTTP, NULL, RAW),
    Comparison(
        "redis-py, 100 ids a command", VALKEY, "redis-py, 100 ids a command", "a pair of 100 ids at a time"
    ),
)
SECONDS = 2
_COROUTINES = 300_000
_CONNECTIONS = 64
_CREATED = "201"
_SCRIPTS = {
    "SELECT 1, 1 client": (postgres_tools.SELECT_ONE, 1),
    SELECT_8: (postgres_tools.SELECT_ONE, 8),
    INSERT_1: (postgres_tools.INSERT_ONE, 1),
    INSERT_8: (postgres_tools.INSERT_ONE, 8),
    "one row a commit, 64 clients": (postgres_tools.INSERT_ONE, 64),
}

Measured = tuple[float, str, dict[str, Any]]
Measure = Callable[[], Awaitable[Measured]]


async def run(
    stage: Stage, *, rounds: int, repeats: int, seconds: int = SECONDS, say: Say = tell
) -> AsyncIterator[Run]:
    """Every limit once in each round. What this machine or this wheel cannot measure is said, and left out."""
    await stage.fresh()
    for workload, name in ((DISK, "pg_test_fsync"), (POSTGRESQL, "pgbench")):
        if postgres_tools.program(name) is None:
            say(f"{workload}: this wheel holds no {name}")
    if "an eager task each" not in asyncio_ceiling.ways():
        say(f"{DISPATCH}: eager tasks need Python 3.12")
    async with AsyncExitStack() as stack:
        sites = {
            RAW: ("/", await serve(stage, stack, "benchmarks.raw_asgi")),
            NULL: ("/nothing", await serve(stage, stack, "benchmarks.rivals")),
        }
        every = {**_dispatch(stage), **_disk(seconds), **_postgresql(stage, seconds)}
        every |= {**_valkey(stage, seconds), **_http(stage, sites, seconds)}
        pids = {**stage.server_pids, **{side: site.program.pid for side, (_, site) in sites.items()}}
        for workload in (DISPATCH, DISK, POSTGRESQL, VALKEY, HTTP):
            sides = {side: measure for (of, side), measure in every.items() if of == workload}
            for turn in turns(tuple(sides), rounds if sides else 0):
                async for made in repeated(partial(_round, pids, workload, sides, turn), repeats):
                    yield made


async def _round(
    pids: dict[str, int], workload: str, sides: dict[str, Measure], turn: Turn, attempt: int
) -> AsyncIterator[Run]:
    for side in turn.order:
        with Meter(pids) as meter:
            value, unit, facts = await sides[side]()
        yield Run(workload, side, turn.number, attempt, value, unit, {**meter.facts, **facts})


def _dispatch(stage: Stage) -> dict[tuple[str, str], Measure]:
    async def measure(way: str, loop: str) -> Measured:
        arguments = ("benchmarks.asyncio_ceiling", way, loop, str(_COROUTINES))
        async with stage.program(*arguments) as program:
            facts = await program.answer()
        return facts.pop("rate"), "coroutines/s", facts

    return {
        (DISPATCH, f"{way}, {loop}"): partial(measure, way, loop)
        for way in asyncio_ceiling.ways()
        for loop in _LOOPS
    }


def _disk(seconds: int) -> dict[tuple[str, str], Measure]:
    async def measure() -> Measured:
        return await postgres_tools.flushes(seconds), "flushes/s", {}

    found = postgres_tools.program("pg_test_fsync")
    return {} if found is None else {(DISK, "8 KiB and fdatasync"): measure}


def _postgresql(stage: Stage, seconds: int) -> dict[tuple[str, str], Measure]:
    async def measure(script: str, clients: int) -> Measured:
        await stage.empty()
        done = await postgres_tools.pgbench(stage, script, clients=clients, seconds=seconds)
        async with stage.connection() as connection:
            rows = await connection.fetchval("SELECT count(*) FROM tasks")
        if script == postgres_tools.INSERT_ONE and rows != done.transactions:
            raise BrokenRun(f"pgbench committed {done.transactions} inserts, but there are {rows} rows")
        return done.rate, "transactions/s", {"transactions": done.transactions}

    if postgres_tools.program("pgbench") is None:
        return {}
    return {(POSTGRESQL, side): partial(measure, *given) for side, given in _SCRIPTS.items()}


def _valkey(stage: Stage, seconds: int) -> dict[tuple[str, str], Measure]:
    async def measure(way: str) -> Measured:
        async with stage.program("benchmarks.valkey_ceiling", way, str(float(seconds))) as program:
            facts = await program.answer()
        ids = facts["ids"] / facts["seconds"]
        return facts.pop("rate"), "commands/s", {**facts, "ids_per_second": round(ids)}

    return {(VALKEY, way): partial(measure, way) for way in valkey_ceiling.WAYS}


def _http(stage: Stage, sites: dict[str, tuple[str, Site]], seconds: int) -> dict[tuple[str, str], Measure]:
    async def measure(path: str, site: Site) -> Measured:
        arguments = ("closed", str(site.port), path, str(_CONNECTIONS), str(float(seconds)), "0")
        async with stage.program("benchmarks.load", *arguments) as client:
            facts = await client.answer()
        if set(facts["statuses"]) != {_CREATED}:
            raise BrokenRun(f"{path} answered {facts['statuses']}")
        return facts.pop("rate"), "requests/s", facts

    return {(HTTP, side): partial(measure, *given) for side, given in sites.items()}
