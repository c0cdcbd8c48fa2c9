"""The long tables of the report: statements at depth, limits, what a task costs, machines, every run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.markdown import facts, known, picture, table, words
from benchmarks.recorded import Cost, Session, Side, done
from benchmarks.results import NOISY, Run
from benchmarks.show import number

_EVERY_RUN = f"""\
## Every run

In the order of the rounds. *Slanted*: other programs took more than {NOISY:.0%} of the machine. ~~Struck~~: made again,
and not counted.
"""
_DEPTH = """\
## What each statement costs at depth

EXPLAIN (ANALYZE, BUFFERS) beside few rows and beside very many: the median of nine after four that warm up, all rolled
back. Time wanders with the cache; the pages touched are what has to stay flat.

"""
_DEPTHS_DRAWN = "Milliseconds of each statement beside few rows and beside very many"
_DEPTH_TITLES = ("statement", "few", "many", "ms: few", "many", "pages: few", "many", "ratio of ms", "run")
_PER_TASK = ("wal_bytes_per_task", "commits_per_task", "redis_commands_per_task")


def depth(sessions: Sequence[Session], plots: Mapping[str, str]) -> str:
    """What statements cost beside very many rows."""
    rows = [
        (cost.workload, *_pair(cost), number(cost.deep.value / cost.shallow.value), session.letter)
        for session in sessions
        for cost in session.costs
    ]
    if not rows:
        return ""
    return _DEPTH + picture(plots, "depth", _DEPTHS_DRAWN) + table(_DEPTH_TITLES, rows)


def _pair(cost: Cost) -> list[str]:
    sides = (cost.shallow, cost.deep)
    tables = [side.fact("table_rows") for side in sides]
    pages = [side.fact("pages") for side in sides]
    return [
        *("" if one is None else f"{one:,.0f}" for one in tables),
        *(number(side.value) for side in sides),
        *("" if one is None else f"{one:,.0f}" for one in pages),
    ]


def limits(sessions: Sequence[Session]) -> str:
    """What the machine allows."""
    rows = [
        (
            *(side.workload.removeprefix("limit: "), side.name, number(side.value), side.unit),
            *(f"{number(min(_values(side)))} to {number(max(_values(side)))}", session.letter),
        )
        for session in sessions
        for side in session.sides
        if side.workload.startswith("limit: ")
    ]
    titles = ("of", "what", "median", "", "lowest to highest", "run")
    return f"## What this machine allows\n\n{table(titles, rows, left=2)}" if rows else ""


def spent(sessions: Sequence[Session], plots: Mapping[str, str]) -> str:
    """CPU, log and commits of each side that was metered."""
    rows = []
    for session in sessions:
        for side in () if session.peers else session.sides:
            if side.workload.startswith("limit: ") or not side.cpu():
                continue
            cpu = ", ".join(f"{name} {number(spent)}" for name, spent in side.cpu().items())
            counted = [known(side.fact(name)) for name in _PER_TASK]
            rows.append((side.workload, side.name, cpu, *counted, session.letter))
    if not rows:
        return ""
    titles = ("workload", "side", "CPU µs by process", "WAL bytes", "commits", "Redis commands", "run")
    return (
        "## What one task or request costs\n\n"
        + picture(plots, "cpu", "Where the processors' time goes, for each task")
        + table(titles, rows, left=3)
    )


def machines(sessions: Sequence[Session]) -> str:
    """Where and with what each file was made; what was the same as before is said once."""
    parts = ["## Machine, versions, settings\n"]
    told: dict[str, str] = {}
    for session in sessions:
        sluice = session.told.get("versions", {}).get("sluice", {})
        began = re.sub(r"\..*|\+.*", "", session.began).replace("T", " ")
        facts_now = _about(session)
        same = told == {**told, **facts_now}
        parts.append(
            f"**Run {session.letter}**, {began} UTC, Sluice {sluice.get('version', '?')} at "
            f"{sluice.get('commit', '?')}, load at the start "
            f"{words(session.told.get('machine', {}).get('load_at_start', []))}; options: "
            f"{facts(session.told.get('options', {}))}.{' The rest as before.' if same and told else ''}\n"
        )
        new = [f"- {name}: {value}\n" for name, value in facts_now.items() if told.get(name) != value]
        parts += ["".join(new)] if new else []
        told.update(facts_now)
    return "\n".join(parts)


def _about(session: Session) -> dict[str, str]:
    machine, versions = session.told.get("machine", {}), session.told.get("versions", {})
    return {
        "machine": f"{machine.get('processor', '?')}, {machine.get('processors', '?')} processors, "
        f"{machine.get('memory_gib', '?')} GiB, {machine.get('system', '?')}",
        "versions": facts({name: value for name, value in versions.items() if not isinstance(value, dict)}),
        **{server: facts(settings) for server, settings in session.told.get("settings", {}).items()},
    }


def every_run(sessions: Sequence[Session]) -> str:
    """Each value that was measured, those that do not count too."""
    parts = [_EVERY_RUN]
    for session in sessions:
        rows = [
            (workload, side.name, side.unit, _count(side), " ".join(map(_value, _marked(side))))
            for workload in session.workloads
            for side in session.of(workload)
        ]
        titles = ("workload", "side", "", "tasks", "runs")
        n = sum(len(side.runs) for side in session.sides)
        parts.append(
            f"<details><summary>Run {session.letter}: {n} runs</summary>\n\n"
            f"{table(titles, rows, left=5)}\n</details>\n"
        )
    return "\n".join(parts)


def _marked(side: Side) -> Iterator[tuple[Run, bool]]:
    counted = {id(run) for run in side.counted}
    yield from ((run, id(run) in counted) for run in side.runs)


def _value(marked: tuple[Run, bool]) -> str:
    run, counted = marked
    shown = number(run.value)
    shown = f"*{shown}*" if run.noisy else shown
    return shown if counted else f"~~{shown}~~"


def _count(side: Side) -> str:
    found = {n for run in side.counted if (n := done(run)) is not None}
    return " to ".join(f"{n:,}" for n in sorted({min(found), max(found)})) if found else ""


def _values(side: Side) -> list[float]:
    return [run.value for run in side.counted]
