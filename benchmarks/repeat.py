"""A round again when somebody else used the machine meanwhile. Looks at the noise, never at the outcome."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from benchmarks.results import Run

Round = Callable[[int], AsyncIterator[Run]]
"""Every side once, one after the other; it is told which attempt this is, from 1."""


async def repeated(one: Round, repeats: int) -> AsyncIterator[Run]:
    """The runs of a round, made up to `repeats` times more while one of its runs is noisy."""
    for attempt in range(1, repeats + 2):
        noisy = False
        async for run in one(attempt):
            noisy = noisy or run.noisy
            yield run
        if not noisy:
            return
