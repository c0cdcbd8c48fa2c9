"""What processes and the handlers in them may never be found to have done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from tests.chaos.evidence import OPEN, SECOND, Evidence, Exit, Run
from tests.chaos.guilty import (
    AFTERMATH,
    FORK_SERVER_STOPPED,
    KILLED,
    PAUSED,
    TOLD_TO_STOP,
    Guilty,
    during,
)
from tests.chaos.mix import COMPUTE

SURVIVED = (*TOLD_TO_STOP, FORK_SERVER_STOPPED, "clock stepped", "row locked", "unserved backlog")
"""What ends no process, or not with 1."""


def over_the_cap(evidence: Evidence) -> Iterator[Guilty]:
    """More handlers at once in one process than its slots."""
    marks: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for run in evidence.runs:
        ended = end_of(evidence, run)
        if ended is not None:
            marks[run.member] += [(run.started, 1), (ended, -1)]
    for member, of_member in marks.items():
        running = most = 0
        for _, step in sorted(of_member):
            running += step
            most = max(most, running)
        if most > evidence.cap:
            yield Guilty(f"{member} ran {most} handlers at once, {evidence.cap} are allowed")


def overlapping(evidence: Evidence) -> Iterator[Guilty]:
    """Two runs of one task at once, without a pause of the first one's process or a person's retry to explain it."""
    for task_id, runs in evidence.runs_of.items():
        for first, second in pairwise(runs):
            ended = end_of(evidence, first)
            if ended is None or ended <= second.started:
                continue
            paused = any(
                fault.name == PAUSED and fault.touches(first.member) and during(fault, first.started, ended)
                for fault in evidence.faults
            )
            retried = any(
                op.op == "retry" and op.asked < second.started and op.answered > first.started
                for op in evidence.ops_of.get(task_id, ())
            )
            if not paused and not retried:
                yield Guilty(f"{first.member} still ran it when {second.member} started it", task_id)


def end_of(evidence: Evidence, run: Run) -> int | None:
    """When a run was over: when it says so, else when its process was. None: a computing child that was killed."""
    if run.ended != OPEN:
        return run.ended
    if run.kind == COMPUTE:
        return None
    ended = evidence.exit_of.get(run.member)
    return OPEN if ended is None else ended.at


def ended_for_nothing(evidence: Evidence) -> Iterator[Guilty]:
    """A process that ended though it was well, or that did not end as it should when it was told to."""
    for ended in evidence.exits:
        if ended.at >= evidence.left_at:
            if ended.status != 0:
                yield Guilty(f"{ended.member} was told to stop, and ended with {ended.status}")
            if ended.at - evidence.left_at > (evidence.drain + evidence.late_exit) * SECOND:
                yield Guilty(f"{ended.member} took {(ended.at - evidence.left_at) / SECOND:.1f} s to stop")
        else:
            yield from _judge_exit(evidence, ended)


def _judge_exit(evidence: Evidence, ended: Exit) -> Iterator[Guilty]:
    name = ended.member.partition(".")[0]
    for fault in evidence.faults:
        if fault.target == name and during(fault, ended.at, ended.at):
            if fault.name in KILLED and ended.status == -9:
                return
            if fault.name in TOLD_TO_STOP and ended.status in {0, 1}:
                took = (ended.at - (fault.began if ended.told is None else ended.told)) / SECOND
                if took > evidence.drain + evidence.late_exit:
                    yield Guilty(f"{ended.member} took {took:.1f} s to stop")
                if ended.status == 1 and not _harmed(evidence, ended):
                    yield Guilty(f"{ended.member} was told to stop, and ended with 1")
                return
    if ended.status != 1 or not _harmed(evidence, ended):
        yield Guilty(f"{ended.member} ended with {ended.status} though nothing was done to it")


def _harmed(evidence: Evidence, ended: Exit) -> bool:
    """Whether something was done to it, or to PostgreSQL, shortly before."""
    since = ended.at - round((2 * evidence.lease + AFTERMATH) * SECOND)
    return any(
        during(fault, since, ended.at)
        for fault in evidence.faults
        if fault.name not in SURVIVED and (fault.touches(ended.member) or fault.target == "postgresql")
    )


def left_behind(evidence: Evidence) -> Iterator[Guilty]:
    """A process that a process of ours had started, and that outlived it."""
    for left in evidence.left_behind:
        yield Guilty(f"{left.member} left a process behind: {left.text}")


def complained(evidence: Evidence) -> Iterator[Guilty]:
    """A traceback, a step that failed by a fault of ours, an answer that says so."""
    for complaint in evidence.complaints:
        yield Guilty(f"{complaint.member}: {complaint.text}")
    for op in evidence.ops:
        if op.code is not None and op.code not in {409, 503}:
            yield Guilty(f"operation {op.n} ({op.op}) was answered with {op.code}", op.id)


def repeated_for_nothing(evidence: Evidence) -> Iterator[Guilty]:
    """A handler that came to its end twice for one task, with no fault and no retry around the first time."""
    for task_id, runs in evidence.runs_of.items():
        done = [run for run in runs if run.how == "ok"]
        for first, second in pairwise(done):
            since = first.started - round((evidence.lease + AFTERMATH) * SECOND)
            struck = any(during(fault, since, second.started) for fault in evidence.faults)
            retried = any(op.op == "retry" for op in evidence.ops_of.get(task_id, ()))
            if not struck and not retried:
                yield Guilty("its handler came to its end twice", task_id)
