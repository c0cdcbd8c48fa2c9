"""Puts what a run left behind in order: from histories, facts and complaints to the evidence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from tests.chaos.evidence import OPEN, Change, Complaint, Evidence, Exit, Fault, Op, Row, Run, Sample


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
        left_behind=[Complaint(*left.split(": ", 1)) for left in facts.get("left_behind", ())],
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
        change["attempt"],
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
        self.told: dict[str, int] = {}
        self.samples: list[Sample] = []
        self.load_from = 0
        self.load_to = self.left_at = OPEN

    def take(self, event: Mapping[str, Any]) -> None:
        take = {
            "invoke": self._invoke,
            **dict.fromkeys(("ok", "fail", "info"), self._answer),
            **dict.fromkeys(("start", "end"), self._run),
            **dict.fromkeys(("fault.start", "fault.stop"), self._fault),
            **dict.fromkeys(("exit", "told", "sample", "launch", "load", "load.end", "leave"), self._mark),
        }[event["event"]]
        take(event)

    def _mark(self, event: Mapping[str, Any]) -> None:
        at = event["t"]
        match event["event"]:
            case "exit":
                member = event["member"]
                self.exits.append(Exit(member, at, event["status"], self.told.get(member)))
            case "told":
                self.told.setdefault(event["member"], at)
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
            self.faults.append(Fault(*key, began.began, event["t"], event["struck"], event.get("task")))
