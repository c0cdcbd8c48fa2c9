"""`python -m benchmarks.peers`: drains beside other queues, on the same servers, in pairs of A B, B A, A B ...

Sluice stands in each pair, so every ratio is of two runs that followed each other. A peer that cannot be installed,
lost a task or ran one twice is printed with the reason.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import machine, show
from benchmarks.peers import pairs, table
from benchmarks.peers.catalogue import PEERS
from benchmarks.results import Run, counted, figures
from benchmarks.stage import ROOT, Stage
from sluice.core.errors import SluiceError

RESULTS = ROOT / "benchmarks" / "results"


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description=(__doc__ or "").partition("\n\n")[0]
    )
    parser.add_argument(
        "--only",
        choices=pairs.NAMES,
        action="append",
        metavar="NAME",
        help="this one alone (may be given more than once)",
    )
    parser.add_argument("--list", action="store_true", help="print the names, and do nothing else")
    parser.add_argument("--pairs", type=_positive, default=5, metavar="N", help="pairs with each peer (5)")
    parser.add_argument(
        "--tasks",
        type=_positive,
        default=150_000,
        metavar="N",
        help="tasks that we drain; slower peers get their share (150000)",
    )
    parser.add_argument(
        "--repeats",
        type=int,
        default=1,
        metavar="N",
        help="how often a pair is made again when other programs used the machine meanwhile (1)",
    )
    parser.add_argument(
        "--python", metavar="PATH", help="a newer Python, for peers that do not run on this one"
    )
    parser.add_argument(
        "--json", type=Path, metavar="PATH", help="the result file (benchmarks/results/peers-<time>.json)"
    )
    return parser.parse_args(words)


def _positive(word: str) -> int:
    value = int(word)
    if value < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return value


async def measure(options: argparse.Namespace) -> None:
    """Every run, written down even when a later one breaks; the table."""
    wanted = [name for name in pairs.NAMES if name in (options.only or pairs.NAMES)]
    began = datetime.now(UTC)
    path = options.json or RESULTS / f"peers-{began:%Y%m%dT%H%M%SZ}.json"
    runs: list[Run] = []
    with show.Progress(2 * options.pairs * len(wanted)) as progress:
        field = pairs.gather(wanted, python=options.python, say=progress.say)
        async with Stage.open(progress.say) as stage:
            await stage.warm_up()
            await stage.fresh()
            facts = await machine.describe(stage)
            facts["versions"]["peers"] = {
                name: {"interpreter": environment.interpreter, **environment.packages}
                for name, environment in field.environments.items()
            }
            try:
                async for run in pairs.run(
                    stage,
                    field,
                    tasks=options.tasks,
                    pairs=options.pairs,
                    repeats=options.repeats,
                    say=progress.say,
                ):
                    progress.ran(run)
                    runs.append(run)
            finally:
                found, judged = figures(runs, field.comparisons), counted(runs)
                show.write(
                    path,
                    {
                        "began_at": began.isoformat(),
                        "options": {key: getattr(options, key) for key in ("pairs", "tasks", "repeats")},
                        "workloads": wanted,
                        **facts,
                        "durability": {peer.name: peer.durability for peer in PEERS},
                        "absent": field.absent,
                        "figures": [asdict(figure) for figure in found],
                        "runs": [{**asdict(run), "counted": run in judged} for run in runs],
                    },
                )
                progress.say(f"every run is in {path}")
    table.show(found, judged, field)


def main() -> int:
    """Measure and print. Exits 1 when a run of ours broke; what a peer does is a result."""
    options = parse()
    if options.list:
        print("\n".join(pairs.NAMES))
        return 0
    try:
        asyncio.run(measure(options))
    except SluiceError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
