from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sluice.core.task import POISONED_AFTER_CRASHES, Status
from tests.support.transitions import allowed


class Life(RuleBasedStateMachine):
    """One row, and verbs as the statements apply them: each says what it needs, whatever it finds."""

    def __init__(self) -> None:
        super().__init__()
        self.status = Status.PENDING
        self.token = 0
        self.held: int | None = None
        """The token that the newest claim handed out."""
        self.attempt = self.crashes = 0
        self.completed: list[int] = []

    def _move(self, verb: str, target: Status) -> None:
        assert allowed(verb, self.status, target), f"{verb}: {self.status} -> {target}"
        self.status = target
        self.token += 1

    @rule()
    def claim(self) -> None:
        if self.status is Status.PENDING:
            self._move("claim", Status.PROCESSING)
            self.attempt += 1
            self.held = self.token

    @precondition(lambda self: self.held is not None)
    @rule(verb=st.sampled_from(["finish", "fail", "give_back"]), last=st.booleans(), stale=st.integers(0, 2))
    def write_by_a_consumer(self, verb: str, last: bool, stale: int) -> None:
        """Under the token of its claim, or one of an earlier claim's; no look at the status."""
        assert self.held is not None
        if self.held - stale != self.token:
            return
        match verb:
            case "finish":
                self._move("finish", Status.COMPLETED)
                self.completed.append(self.attempt)
            case "fail":
                self._move("fail", Status.FAILED if last else Status.PENDING)
            case _:
                self._move("give_back", Status.PENDING)
                self.attempt -= 1

    @precondition(lambda self: self.held is not None)
    @rule()
    def reap(self) -> None:
        if self.held != self.token:
            return
        self.crashes += 1
        poisoned = self.crashes >= POISONED_AFTER_CRASHES
        self._move("reap", Status.FAILED if poisoned else Status.PENDING)
        self.attempt -= 1

    @rule()
    def cancel(self) -> None:
        if self.status in {Status.PENDING, Status.PROCESSING}:
            self._move("cancel", Status.CANCELED)

    @rule()
    def retry(self) -> None:
        if self.status in {Status.FAILED, Status.CANCELED}:
            self._move("retry", Status.PENDING)
            self.attempt = self.crashes = 0

    @invariant()
    def the_token_alone_says_that_a_claim_is_still_in_force(self) -> None:
        assert (self.held == self.token) == (self.status is Status.PROCESSING)

    @invariant()
    def it_completes_at_most_once(self) -> None:
        assert len(self.completed) <= 1
        assert bool(self.completed) == (self.status is Status.COMPLETED)

    @invariant()
    def the_budgets_hold(self) -> None:
        assert self.attempt >= 0
        assert self.crashes < POISONED_AFTER_CRASHES or self.status is not Status.PROCESSING


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=50, stateful_step_count=40)
