"""How long tasks wait that come at random over HTTP, at 25, 50 and 75 % of what this machine takes in and completes.

The capacity is measured first, in each round, by clients that always have a request open. Then every instant of sending
is chosen in advance, and a latency counts from that instant to the row's start and end, so that a stall is felt by all
who were due in it. Where completions fall behind what is offered the load is not sustained, and there are no quantiles.
Meanwhile a page is flushed to the same disk now and then: no task that is on disk before it starts can wait less.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.audit import audit
from benchmarks.consuming import nothing_left, serving
from benchmarks.costs import Costs, per_thousand, resident
from benchmarks.cpu import Meter
from benchmarks.quantiles import quantiles, told
from benchmarks.repeat import repeated
from benchmarks.results import Comparison, Run, Turn, turns
from benchmarks.stage import HOME, BrokenRun, Program, Stage
from benchmarks.submit import Site, serve

LOADS = (0.25, 0.5, 0.75)
CAPACITY = "openloop, capacity"
START, END = "submit to start", "submit to completion"
KEPT_UP, OFFERED = "completed", "offered"
FLUSH = "a page flushed meanwhile"
SECONDS = 10.0
_CLOSED = (64, 5.0)
_WARM_UP = 2.0
_BESIDE_THE_DISK = 0.5
"""The load whose p99 has a bound."""
_CLOCK_MS = 2.0
SUSTAINED = 0.97
"""The share of what is offered that must be completed meanwhile: below it, more and more tasks are in the system."""
# The second half of the capacity's run: what was accepted and what was completed in it.
_CAPACITY = """
WITH edges AS (
  SELECT min(created_at) + (max(created_at) - min(created_at)) / 2 AS since, max(created_at) AS until FROM tasks
)
SELECT count(*) FILTER (WHERE created_at > edges.since) AS accepted,
       count(*) FILTER (WHERE finished_at > edges.since AND finished_at <= edges.until) AS completed,
       CAST(extract(epoch FROM max(edges.until) - max(edges.since)) AS double precision) AS seconds
  FROM tasks, edges
"""
_SEEN = """
SELECT CAST(message AS double precision) AS planned,
       CAST(extract(epoch FROM started_at) AS double precision) AS started,
       CAST(extract(epoch FROM finished_at) AS double precision) AS finished
  FROM tasks
"""


def load(share: float) -> str:
    """The name of the side that works under this share of the capacity."""
    return f"{share:.0%} load"


def quantile(what: str, name: str) -> str:
    """The workload whose value is this quantile."""
    return f"openloop, {what}, {name}"


def kept_up(share: float) -> str:
    """The workload that says whether this load was sustained."""
    return f"openloop, {load(share)}"


COMPARISONS = (
    *(
        Comparison(
            f"{what} at {load(share)}, {name}",
            quantile(what, name),
            load(share),
            load(LOADS[0]),
        )
        for share in LOADS[1:]
        for what in (START, END)
        for name in ("p50", "p99")
    ),
    Comparison("submit to start at 50% load, p99", quantile(START, "p99"), load(0.5), FLUSH, at_most=25),
    *(
        Comparison(f"kept up at {load(share)}", kept_up(share), KEPT_UP, OFFERED, target=SUSTAINED)
        for share in LOADS
    ),
)


@dataclass(frozen=True, slots=True)
class Seen:
    """One task: when it was meant to be sent, when it started and ended. Seconds of the machine's clock."""

    planned: float
    started: float
    finished: float


@dataclass(frozen=True, slots=True)
class Rates:
    """Tasks a second that were to be sent and that were completed in the same time."""

    offered: float
    completed: float

    @classmethod
    def of(cls, seen: Sequence[Seen], *, since: float, refused: int) -> Rates:
        """From `since` to the last that was to be sent. What was refused was offered as well."""
        until = max(one.planned for one in seen)
        return cls(
            offered=(sum(one.planned > since for one in seen) + refused) / (until - since),
            completed=sum(since < one.finished <= until for one in seen) / (until - since),
        )

    @property
    def sustained(self) -> bool:
        """Whether completions keep up."""
        return self.completed >= SUSTAINED * self.offered


async def run(stage: Stage, *, rounds: int, repeats: int, seconds: float = SECONDS) -> AsyncIterator[Run]:
    """Every run of every load, as it is done, the capacity of the round first."""
    for turn in turns([load(share) for share in LOADS], rounds):
        async for made in repeated(partial(_round, stage, turn, seconds), repeats):
            yield made


async def _round(stage: Stage, turn: Turn, seconds: float, attempt: int) -> AsyncIterator[Run]:
    capacity, facts = await _capacity(stage)
    yield Run(CAPACITY, KEPT_UP, turn.number, attempt, capacity, "tasks/s", facts)
    by_name = {load(share): share for share in LOADS}
    for name in turn.order:
        share = by_name[name]
        seen, facts = await _offer(stage, capacity * share, seconds)
        since = min(one.planned for one in seen) + _WARM_UP
        rates = Rates.of(seen, since=since, refused=facts["statuses"].get("503", 0))
        facts["sustained"] = rates.sustained
        yield Run(kept_up(share), KEPT_UP, turn.number, attempt, rates.completed, "tasks/s", facts)
        yield Run(kept_up(share), OFFERED, turn.number, attempt, rates.offered, "tasks/s")
        if rates.sustained:
            counted = [one for one in seen if one.planned > since]
            for made in _quantiles(counted, name, turn, attempt, facts):
                yield made
            if share == _BESIDE_THE_DISK:
                flush = facts["flush"]["p99_ms"]
                yield Run(quantile(START, "p99"), FLUSH, turn.number, attempt, flush, "ms", facts["flush"])


def _quantiles(seen: Sequence[Seen], side: str, turn: Turn, attempt: int, facts: dict[str, Any]) -> list[Run]:
    noise = {name: facts[name] for name in ("others", "steal")}
    made = []
    for what, waited in (
        (START, [1000 * (one.started - one.planned) for one in seen]),
        (END, [1000 * (one.finished - one.planned) for one in seen]),
    ):
        for name, value in quantiles(waited).items():
            if name in {"p50", "p99"}:
                told_of = {**told(waited, "ms"), **noise}
                made.append(Run(quantile(what, name), side, turn.number, attempt, value, "ms", told_of))
    return made


@asynccontextmanager
async def _service(stage: Stage) -> AsyncIterator[tuple[Site, Program]]:
    """A consumer and an API, both stopped at the end."""
    async with AsyncExitStack() as stack:
        consumer = await stack.enter_async_context(serving(stage))
        api = await serve(stage, stack, "api")
        yield api, consumer
        await api.program.stop()


async def _capacity(stage: Stage) -> tuple[float, dict[str, Any]]:
    """Tasks a second that are both taken in and completed while clients always have requests open."""
    connections, seconds = _CLOSED
    await stage.fresh()
    async with _service(stage) as (api, consumer):
        arguments = ("closed", str(api.port), "/tasks", str(connections), str(seconds), "0")
        async with stage.program("benchmarks.load", *arguments) as client:
            with Meter(_pids(stage, api, consumer)) as meter:
                facts = await client.answer()
        await nothing_left(stage, consumer)
    if set(facts["statuses"]) != {"201"}:
        raise BrokenRun(f"/tasks answered {facts['statuses']}")
    found = await audit(stage, CAPACITY, facts["statuses"]["201"])
    async with stage.connection() as connection:
        row = await connection.fetchrow(_CAPACITY)
    if row is None or not row["completed"]:
        raise BrokenRun("nothing was completed while clients were waiting")
    rates = {name: round(row[name] / row["seconds"], 1) for name in ("accepted", "completed")}
    return min(rates.values()), {**found.facts(), "rates": rates, **facts, **meter.facts}


async def _offer(stage: Stage, rate: float, seconds: float) -> tuple[list[Seen], dict[str, Any]]:
    """Poisson arrivals at this rate; each task, those that warmed up too, and what is known of the run."""
    await stage.fresh()
    async with Costs(stage) as costs, _service(stage) as (api, consumer):
        offset = await _clock_offset(stage)
        arguments = (str(api.port), f"{rate:.3f}", f"{_WARM_UP + seconds:.3f}")
        async with (
            stage.program("benchmarks.arrivals", *arguments) as client,
            stage.program("benchmarks.flushes", str(HOME), f"{_WARM_UP + seconds:.3f}") as disk,
        ):
            with Meter(_pids(stage, api, consumer)) as meter:
                facts = await client.answer()
                flushed = (await disk.answer())["waited_ms"]
        await nothing_left(stage, consumer)
        memory = resident(consumer.pid)
    if facts["statuses"].keys() - {"201", "503"} or abs(facts["clock_moved_ms"]) > _CLOCK_MS:
        raise BrokenRun(f"the API or the clock failed: {facts}")
    meter.facts["cpu_seconds"]["client"] = facts.pop("cpu_seconds")
    found = await audit(stage, f"{rate:.0f} tasks/s", facts["statuses"].get("201", 0))
    async with stage.connection() as connection:
        seen = [Seen(**row) for row in await connection.fetch(_SEEN)]
    return seen, {
        **found.facts(),
        "clock_offset_ms": offset,
        "flush": told(flushed, "ms"),
        "consumer_rss_bytes": memory,
        **per_thousand(meter.facts["cpu_seconds"], found.tasks),
        **costs.per_task(found.tasks),
        **facts,
        **meter.facts,
    }


async def _clock_offset(stage: Stage) -> float:
    """How far, at most, PostgreSQL's clock may be from ours, in milliseconds: they are the same machine's.

    Raises BrokenRun when its answer does not lie between two looks at our own.
    """
    async with stage.connection() as connection:
        await connection.fetchval("SELECT 1")
        before = time.time()
        theirs = float(await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())"))
        after = time.time()
    if not before - 0.0005 <= theirs <= after + 0.0005:
        raise BrokenRun(f"PostgreSQL's clock is not ours: {theirs} is not in {before} to {after}")
    return round(1000 * (after - before), 3)


def _pids(stage: Stage, api: Site, consumer: Program) -> dict[str, int]:
    return {"api": api.program.pid, "consumer": consumer.pid, **stage.server_pids}
