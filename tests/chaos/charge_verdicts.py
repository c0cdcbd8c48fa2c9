"""What a task may never be charged with: a crash, or a try, for which no fault of its own or of its process stands."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from sluice.core.task import Status
from tests.chaos.evidence import SECOND, Change, Evidence, Fault, Run
from tests.chaos.guilty import AFTERMATH, FORK_SERVER_STOPPED, KILLED, PAUSED, Guilty, during
from tests.chaos.mix import COMPUTE, EFFECT, FLAKY

HARMLESS = ("clock stepped", "unserved backlog", "snapshot held open")
"""Done to PostgreSQL, and reason enough for no statement to fail."""
POSTGRESQL = "postgresql"


def charged_for_nothing(evidence: Evidence) -> Iterator[Guilty]:
    """A try counted as its consumer's death although that consumer was well: no exit, no fault of its own."""
    members = {(run.id, run.token): run.member for run in evidence.runs}
    for task_id, changes in evidence.changes_of.items():
        for claim, reap in pairwise(changes):
            if (reap.crashes or 0) <= (claim.crashes or 0) or claim.new_token is None:
                continue
            member = members.get((task_id, claim.new_token))
            if not _fell(evidence, member, claim.at, reap.at):
                yield Guilty(f"{member or 'its consumer'} was well, and was taken for dead", task_id)


def _fell(evidence: Evidence, member: str | None, since: int, until: int) -> bool:
    """Whether a process (None: any) died, stood still or was cut off from PostgreSQL between two moments."""
    since -= round((evidence.lease + AFTERMATH) * SECOND) if member is None else 0
    ended = any(
        member in {None, exit_.member} and exit_.status != 0 and since <= exit_.at <= until
        for exit_ in evidence.exits
    )
    return ended or any(
        during(fault, since, until) and _fells(fault) and (member is None or fault.touches(member))
        for fault in evidence.faults
    )


def _fells(fault: Fault) -> bool:
    """Whether a consumer that it touches may be taken for dead by the others."""
    process, _, server = fault.target.partition("/")
    if not process.startswith(("consumer", "*")):
        return False
    return server == POSTGRESQL or fault.name in {*KILLED, PAUSED}


def tried_for_nothing(evidence: Evidence) -> Iterator[Guilty]:
    """A try that was counted though its handler had not raised, or raised though nothing was done to it."""
    runs = {(run.id, run.token): run for run in evidence.runs}
    for task_id, changes in evidence.changes_of.items():
        for claim, back in pairwise(changes):
            if claim.new == Status.PROCESSING and _counted(claim, back):
                run = runs.get((task_id, claim.new_token or 0))
                if not _failed(evidence, run, task_id, claim.at, back.at):
                    told = "it never started" if run is None else f"{run.member}: {run.how or 'no end noted'}"
                    yield Guilty(f"a try was charged that did not fail by itself ({told})", task_id)


def _counted(claim: Change, back: Change) -> bool:
    """Whether the row went back, or failed, with the attempt kept."""
    if back.new not in {Status.PENDING, Status.FAILED} or claim.attempt is None or back.attempt is None:
        return False
    return back.attempt >= claim.attempt


def _failed(evidence: Evidence, run: Run | None, task_id: str, since: int, until: int) -> bool:
    """Whether the handler raised as it was asked to, or a fault that can fail this try was there at its time."""
    kind = evidence.rows[task_id].kind if task_id in evidence.rows else ""
    if kind == FLAKY:
        return run is not None and run.how == "raised"
    struck = [
        fault
        for fault in evidence.faults
        if during(fault, since, until) and fault.task in {None, task_id} and fault.name not in HARMLESS
    ]
    if kind == COMPUTE:  # a child that a dead or stopped fork server took along
        return any(fault.name == FORK_SERVER_STOPPED and _touched(fault, run) for fault in struck)
    if kind == EFFECT:
        at_postgres = [fault for fault in struck if fault.target.endswith(POSTGRESQL) or fault.name == PAUSED]
        return any(fault.target == POSTGRESQL or _touched(fault, run) for fault in at_postgres)
    return False


def _touched(fault: Fault, run: Run | None) -> bool:
    """Whether it was done to the process of this run; of a run that nobody noted that is not known."""
    return run is None or fault.touches(run.member)
