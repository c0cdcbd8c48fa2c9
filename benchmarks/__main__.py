"""`python -m benchmarks`: measures drain, submit and latency on servers of its own, each beside its limit.

Judges by ratios taken in one run. Exits 0 also when a target is missed, and says so; with --check it exits 1.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import drain, latency, machine, show, submit
from benchmarks.results import Figure, Run, counted, figures
from benchmarks.stage import Stage
from core.errors import SluiceError

WORKLOADS = ("drain", "submit", "latency")
COMPARISONS = (*drain.COMPARISONS, *submit.COMPARISONS, *latency.COMPARISONS)
RESULTS = Path(__file__).parent / "results"
_RUNS_A_ROUND = {"drain": 3, "submit": 8, "latency": 6}


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=(__doc__ or "").partition("\n\n")[0]
    )
    parser.add_argument(
        "--only", choices=WORKLOADS, action="append", help="measure this alone (may be given more than once)"
    )
    parser.add_argument(
        "--runs", type=_positive, default=3, metavar="N", help="rounds, each with every side (3)"
    )
    parser.add_argument(
        "--tasks", type=_positive, default=100_000, metavar="N", help="tasks to drain (100000)"
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=2,
        metavar="N",
        help="how often a round is made again when other programs used the machine meanwhile (2)",
    )
    parser.add_argument(
        "--json", type=Path, metavar="PATH", help="the result file (benchmarks/results/<time>.json)"
    )
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    return parser.parse_args(words)


def _positive(word: str) -> int:
    value = int(word)
    if value < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return value


async def measure(options: argparse.Namespace) -> list[Figure]:
    """Every run, written down even when a later one breaks; the figures."""
    wanted = [name for name in WORKLOADS if name in (options.only or WORKLOADS)]
    began = datetime.now(UTC)
    path = options.json or RESULTS / f"{began:%Y%m%dT%H%M%SZ}.json"
    runs: list[Run] = []
    with show.Progress(options.runs * sum(_RUNS_A_ROUND[name] for name in wanted)) as progress:
        async with Stage.open(progress.say) as stage:
            await stage.fresh()
            facts = await machine.describe(stage)
            try:
                for name in wanted:
                    async for run in _runs(name, stage, options):
                        progress.ran(run)
                        runs.append(run)
            finally:
                found, judged = figures(runs, COMPARISONS), counted(runs)
                show.write(
                    path,
                    {
                        "began_at": began.isoformat(),
                        "options": {key: getattr(options, key) for key in ("runs", "tasks", "repeats")},
                        "workloads": wanted,
                        **facts,
                        "figures": [{**asdict(figure), "met": figure.met} for figure in found],
                        "runs": [{**asdict(run), "counted": run in judged} for run in runs],
                    },
                )
                progress.say(f"every run is in {path}")
    show.table(found, runs)
    return found


def _runs(name: str, stage: Stage, options: argparse.Namespace) -> AsyncIterator[Run]:
    if name == "drain":
        return drain.run(stage, tasks=options.tasks, rounds=options.runs, repeats=options.repeats)
    if name == "submit":
        return submit.run(stage, rounds=options.runs, repeats=options.repeats)
    return latency.run(stage, rounds=options.runs, repeats=options.repeats)


def main() -> int:
    """Measure, print, and say by the exit status whether all targets were met when that was asked for."""
    options = parse()
    try:
        found = asyncio.run(measure(options))
    except SluiceError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return int(options.check and any(figure.met is False for figure in found))


if __name__ == "__main__":
    sys.exit(main())
