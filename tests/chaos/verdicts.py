"""What may never be found, each as a pure function from the evidence to the guilty. Knows no server and no clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from sluice.core.lifecycle import TRANSITIONS
from sluice.core.task import TERMINAL, Status
from tests.chaos.charge_verdicts import charged_for_nothing, tried_for_nothing
from tests.chaos.evidence import OPEN, Evidence, Op
from tests.chaos.guilty import Guilty
from tests.chaos.mix import EFFECT
from tests.chaos.process_verdicts import (
    complained,
    ended_for_nothing,
    left_behind,
    over_the_cap,
    overlapping,
    repeated_for_nothing,
)

EDGES = {
    (str(source), str(target))
    for edge in TRANSITIONS.values()
    for source in edge.sources
    for target in edge.targets
}
ENDED = {str(status) for status in TERMINAL}
POISONED = "poisoned"


def lost(evidence: Evidence) -> Iterator[Guilty]:
    """Accepted, and not brought to an end."""
    for op in evidence.ops:
        if op.op == "submit" and op.how == "ok" and op.id is not None:
            row = evidence.rows.get(op.id)
            if row is None:
                yield Guilty("accepted, and there is no row", op.id)
            elif row.status not in ENDED:
                yield Guilty(f"accepted, and still {row.status}", op.id)
    for row in evidence.rows.values():
        if row.status not in ENDED and not any(op.how == "ok" for op in evidence.ops_of.get(row.id, ())):
            yield Guilty(f"its client had no answer, and it is still {row.status}", row.id)


def unexpected(evidence: Evidence) -> Iterator[Guilty]:
    """Rows that nobody asked for, that were surely refused, or that one request made twice."""
    asked = {op.n: op for op in evidence.ops if op.op == "submit"}
    made = Counter(row.number for row in evidence.rows.values())
    for row in evidence.rows.values():
        op = None if row.number is None else asked.get(row.number)
        if op is None:
            yield Guilty("nobody submitted it", row.id)
        elif op.how == "fail":
            yield Guilty("its client was told that nothing was done", row.id)
        elif made[row.number] > 1:
            yield Guilty(f"operation {row.number} made {made[row.number]} rows", row.id)


def completed_twice(evidence: Evidence) -> Iterator[Guilty]:
    """More than one completion."""
    for task_id, changes in evidence.changes_of.items():
        times = sum(change.new == Status.COMPLETED for change in changes)
        if times > 1:
            yield Guilty(f"completed {times} times", task_id)


def effects(evidence: Evidence) -> Iterator[Guilty]:
    """What was written through ctx.session() is there once if the task completed, and not at all otherwise."""
    for row in evidence.rows.values():
        if row.kind != EFFECT:
            continue
        tokens = evidence.effects.get(row.id, ())
        if row.status != Status.COMPLETED:
            if tokens:
                yield Guilty(f"{row.status}, and its effect took place {len(tokens)} times", row.id)
        elif len(tokens) != 1:
            yield Guilty(f"completed, and its effect took place {len(tokens)} times", row.id)
        elif tokens[0] + 1 != row.token:
            yield Guilty(f"completed under token {row.token}, its effect is of token {tokens[0]}", row.id)


def started_after_cancel(evidence: Evidence) -> Iterator[Guilty]:
    """A start after a cancel was answered: none of a later claim, and none at all if it was still pending."""
    for task_id, ops in evidence.ops_of.items():
        retries = [op for op in ops if op.op == "retry"]
        for op in ops:
            if op.op != "cancel" or op.how != "ok" or op.token is None:
                continue
            again = min((other.asked for other in retries if other.answered > op.asked), default=OPEN)
            for run in evidence.runs_of.get(task_id, ()):
                if run.started > again:
                    continue
                if run.token > op.token:
                    yield Guilty(f"started under token {run.token}, canceled under {op.token}", task_id)
                elif op.canceled_from == Status.PENDING and run.started > op.answered:
                    yield Guilty("started after the cancel of a pending task was answered", task_id)


def illegal_changes(evidence: Evidence) -> Iterator[Guilty]:
    """Changes that the state machine does not know, tokens that did not go up by one, rows that went away."""
    for task_id, changes in evidence.changes_of.items():
        token: int | None = None
        status: str | None = None
        for change in changes:
            if change.new is None:
                yield Guilty("its row was deleted", task_id)
            elif change.old is None:
                if change.new != Status.PENDING:
                    yield Guilty(f"born {change.new}", task_id)
            elif (change.old, change.new) not in EDGES:
                yield Guilty(f"{change.old} -> {change.new}", task_id)
            elif change.old_token is None or change.new_token != change.old_token + 1:
                yield Guilty(f"token {change.old_token} -> {change.new_token}", task_id)
            if (change.old, change.old_token) != (status, token):
                yield Guilty(f"{status} ({token}) became {change.old} ({change.old_token}) unseen", task_id)
            status, token = change.new, change.new_token


def started_without_claim(evidence: Evidence) -> Iterator[Guilty]:
    """A handler whose token no claim has given, or that one claim started twice."""
    claims = {(change.id, change.new_token) for change in evidence.changes if change.new == Status.PROCESSING}
    starts = Counter((run.id, run.token) for run in evidence.runs)
    for (task_id, token), times in starts.items():
        if (task_id, token) not in claims:
            yield Guilty(f"started under token {token}, which no claim gave", task_id)
        elif times > 1:
            yield Guilty(f"started {times} times under token {token}", task_id)


def failed_for_nothing(evidence: Evidence) -> Iterator[Guilty]:
    """Failed for good, though every handler succeeds in the end; what three crashes poisoned is counted apart."""
    for row in evidence.rows.values():
        if row.status == Status.FAILED and row.error != POISONED:
            yield Guilty(f"failed: {row.error}", row.id)


def went_backwards(evidence: Evidence) -> Iterator[Guilty]:
    """An answer that shows an older row than an answer before it did."""
    for task_id, ops in evidence.ops_of.items():
        heard = [op for op in ops if op.how == "ok" and op.token is not None]
        newest: Op | None = None
        for op, before in _with_answers_before(heard):
            newest = before if newest is None or _token(before) > _token(newest) else newest
            if newest is not None and _token(op) < _token(newest):
                yield Guilty(f"operation {op.n} saw token {op.token} after {newest.token}", task_id)


def _token(op: Op | None) -> int:
    return -1 if op is None or op.token is None else op.token


def _with_answers_before(heard: list[Op]) -> Iterator[tuple[Op, Op | None]]:
    """Each operation beside the newest that was answered before it was asked."""
    for op in heard:
        before = [other for other in heard if other.answered <= op.asked]
        yield op, max(before, key=_token, default=None)


VERDICTS: dict[str, Callable[[Evidence], Iterable[Guilty]]] = {
    "lost": lost,
    "unexpected": unexpected,
    "completed twice": completed_twice,
    "effects not exactly once": effects,
    "started after a cancel": started_after_cancel,
    "over the cap": over_the_cap,
    "run twice at once": overlapping,
    "illegal changes": illegal_changes,
    "started without a claim": started_without_claim,
    "charged for nothing": charged_for_nothing,
    "tries charged for nothing": tried_for_nothing,
    "failed for nothing": failed_for_nothing,
    "answers that went backwards": went_backwards,
    "processes that ended for nothing": ended_for_nothing,
    "processes left behind": left_behind,
    "faults of the program": complained,
    "repeated for nothing": repeated_for_nothing,
}
