"""`tools/simulate`: run many seeds and leave each safeguard out in turn, or run one seed with its trace.

Exits 1 when a rule was broken, and when nobody notices that a safeguard is left out.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from functools import partial
from multiprocessing.pool import Pool

from tests.simulation.ablations import ABLATIONS, INTACT
from tests.simulation.campaign import Lived, Summary, campaign, catch, live
from tests.simulation.world import World

_BAR = 40
_CHUNK = 4
"""Seeds that a process takes at once: a world is over in half a second."""


def main() -> int:
    """The exit status."""
    options = _options()
    if options.seed is not None:
        return _replay(options.seed, options.without)
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        if options.ablations:
            return _ablations(pool)
        seeds = range(options.begin, options.begin + options.seeds)
        return _campaign(pool, seeds, options.without) or (0 if options.without else _ablations(pool))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many worlds")
    parser.add_argument("--begin", type=int, default=0, help="the first seed")
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count(), help="that run them, one for each processor"
    )
    parser.add_argument("--seed", type=int, help="one world, with its trace")
    parser.add_argument(
        "--without", default="", choices=["", *ABLATIONS], help="leave this safeguard out, and no other"
    )
    parser.add_argument("--ablations", action="store_true", help="leave each safeguard out, and no more")
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


def _campaign(pool: Pool, seeds: range, without: str) -> int:
    def told(summary: Summary) -> None:
        failure = summary.failures[-1] if summary.failures else None
        if failure is not None and failure.seed == seeds[summary.seeds - 1]:
            _clear()
            _say(f"seed {failure.seed}: {failure.violations[0]}")
            _say(f"  tools/simulate --seed {failure.seed}" + (f" --without '{without}'" if without else ""))
        _draw(summary.seeds, len(seeds), f"{len(summary.failures)} failed")

    run = partial(live, ablation=ABLATIONS.get(without, INTACT))
    summary = campaign(pool.imap(run, seeds, _CHUNK), told=told)
    _clear()
    _say(str(summary))
    for mark, count in sorted(summary.marks.items()):
        _say(f"{count:9}  {mark}")
    for mark in summary.missing():
        _say(f"never: {mark}")
    return 1 if summary.failures else 0


def _ablations(pool: Pool) -> int:
    missed = 0
    for number, (name, caught) in enumerate(pool.imap(_caught, ABLATIONS)):
        _clear()
        missed += caught is None
        told = f"seed {caught.seed}: {caught.violations[0]}" if caught else "MISSED"
        _say(f"{name:30} {told}")
        _draw(number + 1, len(ABLATIONS), "safeguards left out")
    _clear()
    _say(f"{len(ABLATIONS) - missed} of {len(ABLATIONS)} caught")
    return 1 if missed else 0


def _caught(name: str) -> tuple[str, Lived | None]:
    return name, catch(ABLATIONS[name])


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
