"""Running a state machine whose rules speak to a clocked PostgreSQL. Says nothing about what a rule is."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Protocol

from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.property.life_verbs import Verbs, verbs

EXAMPLES = int(os.environ.get("SLUICE_EXAMPLES", "0"))
"""How many to try. 0: the same few in every run, and a failure is shown as it is found: to make it small takes long."""


class Machine(Protocol):
    """Runs examples of so many steps."""

    def __call__(
        self, kind: Callable[[asyncio.Runner, Verbs], RuleBasedStateMachine], examples: int, steps: int
    ) -> None: ...


@contextmanager
def machines(url: str) -> Iterator[Machine]:
    """On a loop of its own, since rules are no coroutines."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        real = runner.run(stack.enter_async_context(verbs(url)))

        def run(
            kind: Callable[[asyncio.Runner, Verbs], RuleBasedStateMachine], examples: int, steps: int
        ) -> None:
            run_state_machine_as_test(
                lambda: kind(runner, real),  # type: ignore[arg-type] # any maker will do
                settings=settings(
                    max_examples=EXAMPLES or examples,
                    stateful_step_count=steps,
                    deadline=None,
                    derandomize=not EXAMPLES or settings().derandomize,  # as hypothesis decides in a CI
                    phases=[*Phase] if EXAMPLES else [Phase.generate],
                ),
            )

        try:
            yield run
        finally:
            runner.run(stack.aclose())
