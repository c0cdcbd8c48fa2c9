"""A history that is in order, and how tests of the checker change it."""

from __future__ import annotations

from dataclasses import replace

from tests.chaos.evidence import SECOND, Change, Evidence, Exit, Fault, Op, Row, Run

T = "a task"
MINUTE = 60 * SECOND


def s(seconds: float) -> int:
    return MINUTE + round(seconds * SECOND)


def change(
    at: float, old: str | None, new: str | None, token: int, *, crashes: int = 0, attempt: int | None = None
) -> Change:
    """One that hands the try back, unless `attempt` says otherwise."""
    before = None if old is None else token - 1
    attempt = int(new in {"processing", "completed"}) if attempt is None else attempt
    return Change(round(at * 1000), s(at), T, old, new, before, token, crashes, attempt)


SUBMIT = Op(1, "submit", s(0), s(0.02), "ok", T, "pending", 0)
BORN = change(0.01, None, "pending", 0)
CLAIMED = change(0.1, "pending", "processing", 1)
COMPLETED = change(0.2, "processing", "completed", 2)
RUN = Run(T, 1, "consumer-1.1", "chaos.effect", s(0.11), s(0.19), "ok")
ROW = Row(T, "completed", "chaos.effect", 1, 2)
KILL = Fault("consumer killed", "consumer-1", s(1), s(3))

GOOD = Evidence(
    ops=[SUBMIT],
    runs=[RUN],
    faults=[],
    exits=[Exit("consumer-1.1", s(100.5), 0)],
    changes=[BORN, CLAIMED, COMPLETED],
    rows={T: ROW},
    effects={T: [1]},
    samples=[],
    load=(s(0), s(90)),
    left_at=s(100),
)


def with_(**changes: object) -> Evidence:
    return replace(GOOD, **changes)  # type: ignore[arg-type]


def cancel(at: float, token: int, canceled_from: str) -> Op:
    return Op(2, "cancel", s(at - 0.01), s(at), "ok", T, "canceled", token, canceled_from)
