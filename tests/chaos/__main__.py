"""`make chaos`: a long run with a seed of its own, judged. Exits with 1 when anything was found that may not be."""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from random import SystemRandom
from typing import Any

import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tests.chaos import hammer
from tests.chaos.gathering import gather
from tests.chaos.history import complaints, histories, read
from tests.chaos.plan import CLASSES, plan
from tests.chaos.recovery import AFTER, LAST
from tests.chaos.report import Findings, as_json, judge, show
from tests.chaos.run import Script, perform

QUIET = AFTER + 2 * LAST
PAIRS = 20_000
MOST_UNJUDGED = 0.25
"""The share of rounds that may have been late while others took the machine."""
LONG_MINUTES = 9.0
"""From here on every class of faults must have occurred: the deck is dealt once in that time."""


def main() -> int:
    """Run, judge, tell."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description="Break everything, then judge."
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="how long faults go on (10)")
    parser.add_argument("--seed", type=int, help="replay the schedule of this seed")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="pairs of a claim and a cancel; 0 for none")
    parser.add_argument(
        "--fault",
        action="append",
        metavar="NAME",
        choices=[kind.name for kind in CLASSES],
        help="this class of faults only; may be given more than once",
    )
    parser.add_argument("-o", "--output", type=Path, help="write the findings there as JSON")
    options = parser.parse_args()
    seed = SystemRandom().randrange(1, 1 << 31) if options.seed is None else options.seed
    console = Console()
    deck = [kind for kind in CLASSES if options.fault is None or kind.name in options.fault]
    faults = " ".join(f"--fault {shlex.quote(kind.name)}" for kind in deck) if options.fault else ""
    again = f"make chaos MINUTES={options.minutes:g} SEED={seed}" + (f' ARGS="{faults}"' if faults else "")
    console.print(f"seed {seed}; to replay: {again}", highlight=False)
    directory = Path(tempfile.mkdtemp(prefix="sluice-chaos-"))
    directory.chmod(0o711)
    wrong: list[str] = []
    if options.pairs:
        raced = uvloop.run(hammer.perform(options.pairs, seed, directory / "hammer"))
        console.print(raced.line(), highlight=False)
        wrong += [] if raced.fair else ["claims and cancels do not fit any order, or did not race"]
    rounds = plan(seed, options.minutes * 60, quiet=QUIET, deck=deck)
    script = Script(seed, rounds, QUIET, calm=15.0, measure=8.0)
    where = directory / "run"
    facts = _with_a_bar(console, script, where)
    findings = judge(gather(read(histories(where)), facts, complaints(where)))
    wrong += _tell(console, options, findings, facts)
    if not wrong:
        shutil.rmtree(directory)
        return 0
    for line in wrong:
        console.print(f"wrong: {line}", style="red", highlight=False)
    console.print(f"histories: {directory}\nreplay: {again}", highlight=False)
    return 1


def _with_a_bar(console: Console, script: Script, directory: Path) -> dict[str, Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=1.0)

        def progress(what: str, share: float) -> None:
            bar.update(task, description=what[:80], completed=share)

        return uvloop.run(perform(script, directory, progress))


def _tell(
    console: Console, options: argparse.Namespace, findings: Findings, facts: dict[str, Any]
) -> list[str]:
    """Print the table, write the JSON; what is wrong."""
    show(findings, facts, console)
    late = [window for window in findings.recovery if not window.recovered]
    slow = [window for window in late if window.judged]
    wrong = [] if findings.clean else ["something was found that may not be"]
    if slow:
        wrong.append(f"{len(slow)} of {len(findings.recovery)} rounds were not made up for in time")
    if len(late) - len(slow) > MOST_UNJUDGED * len(findings.recovery):
        wrong.append(f"others took the machine: {len(late) - len(slow)} rounds cannot be judged")
    missing = [name for name in findings.missing if options.fault is None or name in options.fault]
    if missing:
        never = f"never occurred: {', '.join(missing)}"
        if options.minutes < LONG_MINUTES:
            console.print(never, highlight=False)
        else:
            wrong.append(never)
    if options.output is not None:
        options.output.write_text(json.dumps({**as_json(findings, facts), "wrong": wrong}, indent=1) + "\n")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
