"""What a run left behind, put in order: operations, runs of handlers, faults, exits, changes of rows. Judges nothing.

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

    def touches(self, member: str) -> bool:
        """Whether it was done to this process, or to its way to a server."""
        return self.target.partition("/")[0] in {member.partition(".")[0], "*"}


@dataclass(frozen=True, slots=True)
class Exit:
    """The end of a process."""

    member: str
    at: int
    status: int


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
    """What a process wrote that it never may: a traceback, a step that failed."""

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
    lease: float = 3.0
    drain: float = 3.0
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


def gather(
    events: Sequence[Mapping[str, Any]], facts: Mapping[str, Any], complaints: Sequence[Complaint] = ()
) -> Evidence:
    """From the histories of all processes, in order, the facts that the run kept, and what the logs complain of."""
    sorter = _Sorter()
    for event in events:
        sorter.take(event)
    numbers = {op.n: op for op in sorter.ops.values() if op.op == "submit" and op.id is None}
    rows = {row["id"]: _row(row) for row in facts["rows"]}
    for row in rows.values():  # a submission without an answer is known by the row that names it
        if row.number in numbers:
            op = numbers[row.number]
            sorter.ops[op.n] = Op(op.n, op.op, op.asked, op.answered, op.how, row.id)
    effects: dict[str, list[int]] = defaultdict(list)
    for effect in facts["effects"]:
        effects[effect["id"]].append(effect["token"])
    settings = facts["settings"]
    return Evidence(
        ops=list(sorter.ops.values()),
        runs=sorted(sorter.runs.values(), key=lambda run: run.started),
        faults=[*sorter.faults, *sorter.running.values()],
        exits=sorter.exits,
        changes=[_change(change) for change in facts["transitions"]],
        rows=rows,
        effects=effects,
        samples=sorter.samples,
        complaints=complaints,
        load=(sorter.load_from, sorter.load_to),
        left_at=sorter.left_at,
        lease=settings["lease"],
        drain=settings["drain"],
        cap=settings["capacity"],
    )


def _change(change: Mapping[str, Any]) -> Change:
    return Change(
        change["seq"],
        change["t"],
        change["id"],
        change["old_status"],
        change["new_status"],
        change["old_token"],
        change["new_token"],
        change["crashes"],
    )


def _row(row: Mapping[str, Any]) -> Row:
    message = row["message"]
    number = int(message) if message is not None and message.isdigit() else None
    return Row(row["id"], row["status"], row["kind"], number, row["token"], row["error"])


class _Sorter:
    """Puts beginnings and ends together."""

    def __init__(self) -> None:
        self.ops: dict[int, Op] = {}
        self.runs: dict[tuple[str, int, str], Run] = {}
        self.running: dict[tuple[str, str], Fault] = {}
        self.faults: list[Fault] = []
        self.exits: list[Exit] = []
        self.samples: list[Sample] = []
        self.load_from = 0
        self.load_to = self.left_at = OPEN

    def take(self, event: Mapping[str, Any]) -> None:
        take = {
            "invoke": self._invoke,
            **dict.fromkeys(("ok", "fail", "info"), self._answer),
            **dict.fromkeys(("start", "end"), self._run),
            **dict.fromkeys(("fault.start", "fault.stop"), self._fault),
            **dict.fromkeys(("exit", "sample", "launch", "load", "load.end", "leave"), self._mark),
        }[event["event"]]
        take(event)

    def _mark(self, event: Mapping[str, Any]) -> None:
        at = event["t"]
        match event["event"]:
            case "exit":
                self.exits.append(Exit(event["member"], at, event["status"]))
            case "sample":
                self.samples.append(
                    Sample(at, event["waiting"] + event["processing"], event.get("others", 0.0))
                )
            case "load":
                self.load_from = at
            case "load.end":
                self.load_to = at
            case "leave":
                self.left_at = at
            case _:
                pass  # a launch: told in the history for those who read it

    def _invoke(self, event: Mapping[str, Any]) -> None:
        how = "info" if event.get("sent", True) else "fail"
        self.ops[event["n"]] = Op(event["n"], event["op"], event["t"], how=how, id=event.get("id"))

    def _answer(self, event: Mapping[str, Any]) -> None:
        op = self.ops[event["n"]]
        self.ops[op.n] = Op(
            op.n,
            op.op,
            op.asked,
            event["t"],
            event["event"],
            op.id or event.get("id"),
            event.get("status"),
            event.get("fencing_token"),
            event.get("canceled_from"),
            event.get("code"),
        )

    def _run(self, event: Mapping[str, Any]) -> None:
        key = (event["id"], event["token"], event["member"])
        if event["event"] == "start":
            if key in self.runs:  # the same claim started twice: both are kept, and judged
                self.runs[(*key[:2], f"{key[2]} again")] = self.runs[key]
            self.runs[key] = Run(*key, event["kind"], event["t"])
        elif key in self.runs:
            began = self.runs[key]
            self.runs[key] = Run(*key, began.kind, began.started, event["t"], event["how"])

    def _fault(self, event: Mapping[str, Any]) -> None:
        key = (event["fault"], event["target"])
        if event["event"] == "fault.start":
            self.running[key] = Fault(*key, event["t"])
        else:
            began = self.running.pop(key)
            self.faults.append(Fault(*key, began.began, event["t"], event["struck"]))
