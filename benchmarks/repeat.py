"""A measurement again when somebody else used the machine meanwhile. Looks at the noise, never at the outcome."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

from benchmarks.results import Run

Measure = Callable[[], Awaitable[list[Run]]]
"""One measurement. Its runs share one noise."""


async def repeated(measure: Measure, repeats: int) -> AsyncIterator[Run]:
    """The runs of `measure`, made up to `repeats` times more while they are noisy; all but the quietest discarded."""
    tries = [await measure()]
    while len(tries) <= repeats and tries[-1][0].noisy:
        tries.append(await measure())
    quietest = min(tries, key=lambda runs: runs[0].noise)
    for runs in tries:
        for run in runs:
            yield run if runs is quietest else replace(run, discarded=True)
