"""What a run left behind: operations, runs of handlers, faults, exits, changes of rows. Judges nothing.

All times are nanoseconds of the machine's monotonic clock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

SECOND = 1_000_000_000
OPEN = 1 << 62
"""The end of what never ended."""


@dataclass(frozen=True, slots=True)
class Op:
    """What a client asked, and what it heard: ok, fail (surely not done), info (nobody knows)."""

    n: int
    op: str
    asked: int
    answered: int = OPEN
    how: str = "info"
    id: str | None = None
    status: str | None = None
    token: int | None = None
    canceled_from: str | None = None
    code: int | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One call of a handler. `ended` is OPEN when nobody noted an end."""

    id: str
    token: int
    member: str
    kind: str
    started: int
    ended: int = OPEN
    how: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """One act of the nemesis."""

    name: str
    target: str
    began: int
    healed: int = OPEN
    struck: bool = True
    task: str | None = None
    """The one task that it was done to, if it was one."""

    def touches(self, member: str) -> bool:
        """Whether it was done to this process, or to its way to a server."""
        return self.target.partition("/")[0] in {member.partition(".")[0], "*"}


@dataclass(frozen=True, slots=True)
class Exit:
    """The end of a process, and when it was told to end, if it was."""

    member: str
    at: int
    status: int
    told: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A row's change as its transaction wrote it. `old` is None for a new row, `new` for one that was deleted."""

    seq: int
    at: int
    id: str
    old: str | None
    new: str | None
    old_token: int | None
    new_token: int | None
    crashes: int | None = None
    attempt: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """How a task ended up. `number` is that of its submission."""

    id: str
    status: str
    kind: str
    number: int | None
    token: int
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the whole: tasks that wait or are worked on, and the share of the machine that others took."""

    at: int
    backlog: int
    others: float = 0.0


@dataclass(frozen=True, slots=True)
class Complaint:
    """What a process wrote or left that it never may: a traceback, a step that failed, a child."""

    member: str
    text: str


@dataclass(frozen=True)
class Evidence:
    """All of it. `effects` holds the tokens under which a task's transactional effect took place."""

    ops: Sequence[Op] = ()
    runs: Sequence[Run] = ()
    faults: Sequence[Fault] = ()
    exits: Sequence[Exit] = ()
    changes: Sequence[Change] = ()
    rows: Mapping[str, Row] = field(default_factory=dict)
    effects: Mapping[str, Sequence[int]] = field(default_factory=dict)
    samples: Sequence[Sample] = ()
    complaints: Sequence[Complaint] = ()
    load: tuple[int, int] = (0, OPEN)
    left_at: int = OPEN
    left_behind: Sequence[Complaint] = ()
    lease: float = 3.0
    drain: float = 3.0
    late_exit: float = 1.5
    """Seconds after the drain: one is promised, half of one is for cores that others use too."""
    cap: int = 20

    @cached_property
    def changes_of(self) -> Mapping[str, Sequence[Change]]:
        """The changes by task."""
        return _by_id(self.changes)

    @cached_property
    def runs_of(self) -> Mapping[str, Sequence[Run]]:
        """The runs by task, in the order of their starts."""
        return _by_id(self.runs)

    @cached_property
    def ops_of(self) -> Mapping[str, Sequence[Op]]:
        """The operations by task, in the order in which they were asked."""
        return _by_id(self.ops)

    @cached_property
    def exit_of(self) -> Mapping[str, Exit]:
        """How each process ended."""
        return {ended.member: ended for ended in self.exits}

    def story(self, task_id: str) -> list[str]:
        """Everything that concerns one task, in order: the shortest account of what became of it."""
        lines: list[tuple[int, str]] = []
        for op in self.ops_of.get(task_id, ()):
            lines.append((op.asked, f"client asks: {op.op} (operation {op.n})"))
            if op.answered != OPEN:
                said = " ".join(
                    str(fact) for fact in (op.status, op.token, op.canceled_from) if fact is not None
                )
                lines.append((op.answered, f"client hears: {op.op} {op.how} {said}"))
        for run in self.runs_of.get(task_id, ()):
            lines.append((run.started, f"{run.member} starts the handler under token {run.token}"))
            if run.ended != OPEN:
                lines.append((run.ended, f"{run.member} ends it under token {run.token}: {run.how}"))
        lines += [
            (change.at, f"row: {change.old} ({change.old_token}) -> {change.new} ({change.new_token})")
            for change in self.changes_of.get(task_id, ())
        ]
        if not lines:
            return []
        first, last = min(lines)[0], max(lines)[0]
        members = {run.member for run in self.runs_of.get(task_id, ())}
        around = [fault for fault in self.faults if fault.began <= last and fault.healed >= first]
        lines += [(fault.began, f"fault: {fault.name} ({fault.target})") for fault in around]
        lines += [(fault.healed, f"healed: {fault.name} ({fault.target})") for fault in around]
        lines += [
            (ended.at, f"{ended.member} exits with {ended.status}")
            for ended in self.exits
            if ended.member in members and ended.at <= last + SECOND
        ]
        return [f"{(at - first) / SECOND:+9.3f} s  {text}" for at, text in sorted(lines)]


def _by_id(things: Iterable[Any]) -> Mapping[str, Sequence[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for thing in things:
        if thing.id is not None:
            found[thing.id].append(thing)
    return found
