"""`python -m benchmarks`: measures drain, submit, latency and, when asked, more, on its own servers, beside limits.

Judges by ratios taken in one run. Exits 0 also when a target is missed, and says so; with --check it exits 1.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import drain, machine, show
from benchmarks.lists.scenes import SCENES
from benchmarks.results import Figure, Run, counted, figures
from benchmarks.stage import Stage
from benchmarks.workloads import USUAL, WORKLOADS
from sluice.core.errors import SluiceError

RESULTS = Path(__file__).parent / "results"
OPTIONS = ("runs", "tasks", "repeats", "concurrency", "wide", "seconds", "future", "rows", "queues", "scene")


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=(__doc__ or "").partition("\n\n")[0]
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--only", choices=WORKLOADS, action="append", help="measure this alone (may be given more than once)"
    )
    which.add_argument("--all", action="store_true", help="measure every workload, the others too")
    parser.add_argument(
        "--runs", type=_positive, default=3, metavar="N", help="rounds, each with every side (3)"
    )
    parser.add_argument(
        "--tasks", type=_positive, default=100_000, metavar="N", help="tasks to drain (100000)"
    )
    parser.add_argument(
        "--concurrency",
        type=_positive,
        nargs="+",
        default=[drain.CAPACITY],
        metavar="N",
        help=f"handlers at once in a drain; several are measured in turn ({drain.CAPACITY})",
    )
    parser.add_argument(
        "--wide",
        action="store_true",
        help="submit from 8 and 256 connections and in other batches as well; lists with 400 deep queues, not 100",
    )
    parser.add_argument(
        "--seconds",
        type=_positive,
        metavar="N",
        help="how long sustained (20), sleeps (5), openloop (10 a load), idle (30), lists (15) and limits are watched",
    )
    parser.add_argument(
        "--future", type=_positive, metavar="N", help="rows due much later beside the delayed ones (1000000)"
    )
    parser.add_argument(
        "--rows",
        type=_positive,
        metavar="N",
        help="rows that wait or have ended already in backlog and history (10000000) and in lists (1000000, 200000)",
    )
    parser.add_argument(
        "--queues", type=_positive, metavar="N", help="queues that nobody serves, in lists (10000)"
    )
    parser.add_argument(
        "--scene", choices=SCENES, action="append", help="of lists this alone (may be given more than once)"
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
    wanted = [name for name in WORKLOADS if options.all or name in (options.only or USUAL)]
    comparisons = [one for name in wanted for one in WORKLOADS[name].comparisons(options)]
    began = datetime.now(UTC)
    path = options.json or RESULTS / f"{began:%Y%m%dT%H%M%SZ}.json"
    runs: list[Run] = []
    with show.Progress(options.runs * sum(WORKLOADS[name].runs(options) for name in wanted)) as progress:
        async with Stage.open(progress.say) as stage:
            await stage.warm_up()
            await stage.fresh()
            facts = await machine.describe(stage)
            try:
                for name in wanted:
                    async for run in WORKLOADS[name].run(stage, options):
                        progress.ran(run)
                        runs.append(run)
            finally:
                found, judged = figures(runs, comparisons), counted(runs)
                show.write(
                    path,
                    {
                        "began_at": began.isoformat(),
                        "options": {key: getattr(options, key) for key in OPTIONS},
                        "workloads": wanted,
                        **facts,
                        "figures": [{**asdict(figure), "met": figure.met} for figure in found],
                        "runs": [{**asdict(run), "counted": run in judged} for run in runs],
                    },
                )
                progress.say(f"every run is in {path}")
    show.table(found, runs)
    return found


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
