"""Events at the same moment, on real PostgreSQL: whatever comes of them is what some order of them would give."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from copy import deepcopy
from datetime import timedelta
from itertools import combinations, permutations
from typing import Any
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.property.life_model import Model
from tests.property.life_run import EXAMPLES, Machine
from tests.property.life_verbs import Verbs

Act = tuple[str, int, int, int]
"""A verb; which task; how many claims ago it held its token; which consumer or delay."""
acts = st.tuples(
    st.sampled_from(["claim", "finish", "fail", "give_back", "reap", "cancel", "retry", "submit"]),
    st.integers(1, 2),
    st.sampled_from([0, 0, 0, 1, 2]),
    st.integers(0, 2),
)


class AtOnce(RuleBasedStateMachine):
    """Two to four events at the same time, most of them on one task: as if in some order, whichever it was."""

    def __init__(self, runner: asyncio.Runner, real: Verbs) -> None:
        super().__init__()
        self.run, self.real, self.model = runner.run, real, Model()
        self.claimed: dict[UUID, list[int]] = defaultdict(list)
        self.run(real.begin_again())
        for n in (1, 2):
            self.alone(("submit", n, 0, 0))
            self.alone(("claim", n, 0, 0))

    @rule(act=acts)
    def alone(self, act: Act) -> None:
        self.at_once([act])

    @rule(found=st.lists(acts, min_size=2, max_size=4))
    def at_once(self, found: Sequence[Act]) -> None:
        """Whoever writes holds, or held, a claim that was made before."""
        calls = [self._call(act) for act in found]

        async def together() -> list[Any]:
            return await asyncio.gather(
                *(getattr(self.real, verb)(*_as_batch(verb, call)) for verb, *call in calls)
            )

        answers = [_alone(answer) for answer in self.run(together())]
        rows = self.run(self.real.rows())
        for order in _orders(calls, answers):
            model = deepcopy(self.model)
            expected = {at: getattr(model, calls[at][0])(*calls[at][1:]) for at in order}
            if model.tasks == rows and all(answers[at] == expected[at] for at in order):
                self.model = model
                self._remember(calls, answers)
                return
        raise AssertionError(f"in no order: {calls} gave {answers} and {rows}, from {self.model.tasks}")

    def _remember(self, calls: Sequence[tuple[Any, ...]], answers: Sequence[Any]) -> None:
        for (verb, task, *_), answer in zip(calls, answers, strict=True):
            if verb == "claim" and answer:
                self.claimed[task].append(answer[0])

    def _call(self, act: Act) -> tuple[Any, ...]:
        verb, n, ago, extra = act
        task, delay = UUID(int=n), timedelta(seconds=0)
        tokens = self.claimed[task]
        token = tokens[-1 - ago] if ago < len(tokens) else 0
        match verb:
            case "claim":
                return (verb, task, UUID(int=101 + extra))
            case "cancel" | "retry":
                return (verb, task)
            case "submit":
                return (verb, task, delay)
            case "finish":
                return (verb, (task, token), str(extra))
            case "fail":
                return (verb, (task, token), None if extra else delay)
            case _:
                return (verb, (task, token), delay)


def _orders(calls: Sequence[tuple[Any, ...]], answers: Sequence[Any]) -> Iterator[tuple[int, ...]]:
    """The orders that may explain the answers.

    Claim and reap pass over a row that is locked, and a claim locks what it looks at, even if it does not take it: so
    each of them may have missed a row beside a claim, which then must be explained itself.
    """
    tasks = [call[1][0] if isinstance(call[1], tuple) else call[1] for call in calls]
    skippers = [at for at, call in enumerate(calls) if call[0] in {"claim", "reap"} and not answers[at]]
    for n in range(len(skippers) + 1):
        for missed in combinations(skippers, n):
            there = [at for at in range(len(calls)) if at not in missed]
            claimed = {tasks[at] for at in there if calls[at][0] == "claim"}
            if all(tasks[at] in claimed for at in missed):
                yield from permutations(there)


def _as_batch(verb: str, call: list[Any]) -> list[Any]:
    return call if verb in {"cancel", "retry"} else [[call[0]], *call[1:]]


def _alone(answer: Any) -> Any:
    return answer[0] if isinstance(answer, list) else answer


@pytest.mark.timeout(300 + 20 * EXAMPLES)
def test_events_at_once_are_as_events_in_some_order(machine: Machine) -> None:
    machine(AtOnce, 20, 30)
