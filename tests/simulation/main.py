"""`tools/simulate`: run many seeds, all ablations, or one seed with its trace. Exits 1 when a rule was broken."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from functools import partial

from tests.simulation.ablations import ABLATIONS, INTACT
from tests.simulation.campaign import Summary, campaign, catch, live
from tests.simulation.world import World

_BAR = 40
_CHUNK = 4
"""Seeds that a process takes at once: a world is over in half a second."""


def main() -> int:
    """The exit status."""
    options = _options()
    if options.seed is not None:
        return _replay(options.seed, options.without)
    if options.ablations:
        return _ablations()
    seeds = range(options.begin, options.begin + options.seeds)
    return _campaign(seeds, options.without, processes=options.processes)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many worlds")
    parser.add_argument("--begin", type=int, default=0, help="the first seed")
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count(), help="that run them, one for each processor"
    )
    parser.add_argument("--seed", type=int, help="one world, with its trace")
    parser.add_argument("--without", default="", choices=["", *ABLATIONS], help="leave this safeguard out")
    parser.add_argument("--ablations", action="store_true", help="leave each safeguard out in turn")
    return parser.parse_args()


def _replay(seed: int, without: str) -> int:
    world = World(seed, ablation=ABLATIONS.get(without, INTACT), keep=True)
    history = world.run()
    _say("\n".join(world.trace))
    guilty = sorted(
        {word.strip(",") for line in history.violations for word in line.split() if word[0] == "t"}
    )
    for name in guilty:
        if name in history.lives:
            _say(f"\nThe life of {name}:\n" + "\n".join(history.lives[name]))
    _say("\n" + "\n".join(history.violations or ["no rule was broken"]))
    _say(f"digest {world.digest}, {world.loop.steps} steps, {world.loop.time():.1f} s simulated")
    return 1 if history.violations else 0


def _campaign(seeds: range, without: str, *, processes: int) -> int:
    def told(summary: Summary) -> None:
        failure = summary.failures[-1] if summary.failures else None
        if failure is not None and failure.seed == seeds[summary.seeds - 1]:
            _clear()
            _say(f"seed {failure.seed}: {failure.violations[0]}")
            _say(f"  tools/simulate --seed {failure.seed}" + (f" --without '{without}'" if without else ""))
        _draw(summary.seeds, len(seeds), f"{len(summary.failures)} failed")

    run = partial(live, ablation=ABLATIONS.get(without, INTACT))
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        summary = campaign(pool.imap(run, seeds, _CHUNK), told=told)
    _clear()
    _say(str(summary))
    for mark, count in sorted(summary.marks.items()):
        _say(f"{count:9}  {mark}")
    for mark in summary.missing():
        _say(f"never: {mark}")
    return 1 if summary.failures else 0


def _ablations() -> int:
    missed = 0
    for number, ablation in enumerate(ABLATIONS.values()):
        _draw(number, len(ABLATIONS), ablation.name)
        caught = catch(ablation)
        _clear()
        missed += caught is None
        told = f"seed {caught.seed}: {caught.violations[0]}" if caught else "MISSED"
        _say(f"{ablation.name:30} {told}")
    _say(f"{len(ABLATIONS) - missed} of {len(ABLATIONS)} caught")
    return 1 if missed else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _draw(done: int, of: int, beside: str) -> None:
    if sys.stderr.isatty():
        full = _BAR * done // max(of, 1)
        sys.stderr.write(f"\r\033[K[{'#' * full}{'.' * (_BAR - full)}] {done}/{of} {beside}")
        sys.stderr.flush()


def _clear() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")


if __name__ == "__main__":
    sys.exit(main())
