"""The checker itself: a history that is in order convicts nobody, and each crime is found by its own verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.evidence import (
    SECOND,
    Change,
    Complaint,
    Evidence,
    Exit,
    Fault,
    Op,
    Row,
    Run,
    gather,
)
from tests.chaos.history import complaints
from tests.chaos.report import judge
from tests.chaos.verdicts import VERDICTS

T = "a task"
MINUTE = 60 * SECOND


def s(seconds: float) -> int:
    return MINUTE + round(seconds * SECOND)


def change(at: float, old: str | None, new: str | None, token: int, *, crashes: int = 0) -> Change:
    before = None if old is None else token - 1
    return Change(round(at * 1000), s(at), T, old, new, before, token, crashes)


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


CRIMES: dict[str, list[Evidence]] = {
    "lost": [
        with_(rows={}, changes=[], runs=[], effects={}),
        with_(
            rows={T: replace(ROW, status="processing")},
            changes=[BORN, CLAIMED],
            effects={},
            runs=[replace(RUN, kind="chaos.noop")],
        ),
        with_(
            ops=[replace(SUBMIT, how="info")],
            rows={T: replace(ROW, status="pending", token=0)},
            changes=[BORN],
            runs=[],
            effects={},
        ),
    ],
    "unexpected": [
        with_(ops=[]),
        with_(ops=[replace(SUBMIT, how="fail")]),
        with_(rows={T: ROW, "another": Row("another", "completed", "chaos.noop", 1, 2)}),
    ],
    "completed twice": [
        with_(
            changes=[
                BORN,
                CLAIMED,
                COMPLETED,
                replace(COMPLETED, seq=900, old="completed", old_token=2, new_token=3),
            ]
        )
    ],
    "effects not exactly once": [
        with_(effects={}),
        with_(effects={T: [1, 1]}),
        with_(effects={T: [0]}),
        with_(
            rows={T: replace(ROW, status="canceled")},
            changes=[BORN, CLAIMED, change(0.2, "processing", "canceled", 2)],
        ),
    ],
    "started after a cancel": [
        with_(ops=[SUBMIT, cancel(0.05, 0, "processing")]),
        with_(ops=[SUBMIT, cancel(0.05, 1, "pending")]),
    ],
    "over the cap": [with_(runs=[replace(RUN, id=str(n)) for n in range(21)])],
    "run twice at once": [
        with_(runs=[RUN, replace(RUN, token=2, member="consumer-2.1", started=s(0.15))]),
        with_(runs=[replace(RUN, ended=1 << 62), replace(RUN, token=2, started=s(50), ended=s(51))]),
    ],
    "illegal changes": [
        with_(changes=[BORN, change(0.1, "pending", "completed", 1)]),
        with_(changes=[BORN, CLAIMED, replace(COMPLETED, new_token=1)]),
        with_(changes=[BORN, CLAIMED, replace(COMPLETED, new_token=7)]),
        with_(changes=[BORN, replace(COMPLETED, old_token=1)]),
        with_(changes=[BORN, CLAIMED, COMPLETED, replace(COMPLETED, seq=900, old="completed", new=None)]),
        with_(changes=[replace(BORN, new="processing")]),
    ],
    "started without a claim": [
        with_(runs=[replace(RUN, token=5)]),
        with_(runs=[RUN, replace(RUN, member="consumer-2.1", started=s(0.2), ended=s(0.3))]),
    ],
    "charged for nothing": [
        with_(
            rows={T: replace(ROW, status="failed", error="poisoned", kind="chaos.noop")},
            changes=[BORN, CLAIMED, change(4, "processing", "failed", 2, crashes=3)],
        ),
        with_(
            changes=[BORN, CLAIMED, change(4, "processing", "pending", 2, crashes=1)],
            faults=[Fault("PostgreSQL stopped at once", "postgresql", s(0.2), s(3.9))],
        ),
        with_(changes=[BORN, CLAIMED, change(4, "processing", "pending", 2, crashes=1)], runs=[]),
    ],
    "failed for nothing": [with_(rows={T: replace(ROW, status="failed", error="RuntimeError")})],
    "answers that went backwards": [
        with_(
            ops=[
                SUBMIT,
                Op(2, "get", s(1), s(1.1), "ok", T, "completed", 2),
                Op(3, "get", s(1.2), s(1.3), "ok", T, "processing", 1),
            ]
        )
    ],
    "processes that ended for nothing": [
        with_(exits=[Exit("consumer-1.1", s(50), 1)]),
        with_(exits=[Exit("consumer-1.1", s(50), -9)]),
        with_(exits=[Exit("consumer-1.1", s(100.5), 1)]),
        with_(exits=[Exit("consumer-1.1", s(105), 0)]),
        with_(
            exits=[Exit("consumer-1.1", s(8), 0)],
            faults=[Fault("consumer told to stop", "consumer-1", s(1), s(9))],
        ),
        with_(
            exits=[Exit("consumer-1.1", s(2), 1)],
            faults=[Fault("consumer told to stop", "consumer-1", s(1), s(9))],
        ),
    ],
    "faults of the program": [
        with_(complaints=[Complaint("consumer-1.1", "it ended with a traceback")]),
        with_(ops=[SUBMIT, Op(2, "get", s(1), s(1.1), "fail", T, code=500)]),
    ],
    "repeated for nothing": [with_(runs=[RUN, replace(RUN, token=3, started=s(20), ended=s(20.1))])],
}


def test_a_history_in_order_convicts_nobody() -> None:
    assert judge(GOOD).clean


def test_there_is_a_crime_for_each_verdict() -> None:
    assert CRIMES.keys() == VERDICTS.keys()


@pytest.mark.parametrize(
    ("verdict", "crime"), [(verdict, crime) for verdict, crimes in CRIMES.items() for crime in crimes]
)
def test_each_crime_is_found(verdict: str, crime: Evidence) -> None:
    found = judge(crime)
    assert found.guilty[verdict]
    assert found.stories()


EXCUSED: list[Callable[[], Evidence]] = [
    # canceled from processing: the claim came first, its handler may start a moment after the answer
    lambda: with_(
        ops=[SUBMIT, cancel(0.105, 2, "processing")],
        changes=[BORN, CLAIMED, change(0.104, "processing", "canceled", 2)],
        rows={T: replace(ROW, status="canceled", kind="chaos.noop")},
        effects={},
    ),
    # a retry was under way when the cancel was asked for
    lambda: with_(
        ops=[SUBMIT, replace(cancel(0.05, 0, "processing"), n=3), Op(2, "retry", s(0.03), s(0.06), id=T)]
    ),
    # the first run's process was paused beyond its lease
    lambda: with_(
        runs=[
            replace(RUN, ended=s(6)),
            replace(RUN, token=3, member="consumer-2.1", started=s(5), ended=s(5.1)),
        ],
        faults=[Fault("consumer paused", "consumer-1", s(0.15), s(5.9))],
        changes=[
            BORN,
            CLAIMED,
            change(4.9, "processing", "pending", 2, crashes=1),
            change(5, "pending", "processing", 3, crashes=1),
            change(5.2, "processing", "completed", 4, crashes=1),
        ],
        rows={T: replace(ROW, token=4)},
        effects={T: [3]},
    ),
    # its consumer was killed while it ran
    lambda: with_(
        runs=[
            replace(RUN, started=s(0.9), ended=1 << 62, how=""),
            replace(RUN, token=3, member="consumer-2.1", started=s(5), ended=s(5.1)),
        ],
        faults=[KILL],
        exits=[Exit("consumer-1.1", s(1), -9)],
        changes=[
            BORN,
            change(0.8, "pending", "processing", 1),
            change(4.9, "processing", "pending", 2, crashes=1),
            change(5, "pending", "processing", 3, crashes=1),
            change(5.2, "processing", "completed", 4, crashes=1),
        ],
        rows={T: replace(ROW, token=4)},
        effects={T: [3]},
    ),
    # a black hole outlasted the lease, and the process ended itself
    lambda: with_(
        exits=[Exit("consumer-1.1", s(20), 1)],
        faults=[Fault("black hole both ways", "consumer-1/postgresql", s(14), s(21))],
    ),
]


@pytest.mark.parametrize("excused", EXCUSED)
def test_what_a_fault_or_a_client_explains_convicts_nobody(excused: Callable[[], Evidence]) -> None:
    found = judge(excused())
    assert found.clean, found.stories()


def test_the_story_of_a_task_tells_in_order_what_clients_rows_handlers_and_faults_did() -> None:
    story = with_(faults=[Fault("Redis flushed", "redis", s(0.15), s(0.16))]).story(T)
    assert [line.split(" s  ")[1].split(" (")[0] for line in story] == [
        "client asks: submit",
        "row: None",
        "client hears: submit ok pending 0",
        "row: pending",
        "consumer-1.1 starts the handler under token 1",
        "fault: Redis flushed",
        "healed: Redis flushed",
        "consumer-1.1 ends it under token 1: ok",
        "row: processing",
    ]


def test_tracebacks_and_failed_steps_are_complaints_and_what_faults_bring_along_is_none(
    tmp_path: Path,
) -> None:
    (tmp_path / "log-consumer-1.1.jsonl").write_text(
        '{"event": "step.failed", "level": "error", "reason": "KeyError(1)"}\n'
        '{"event": "lease.lost", "level": "error"}\n'
        '{"event": "task.failed", "level": "warning"}\n'
        "sluice consumer: ending this process: handlers outlived the lease\n"
    )
    (tmp_path / "log-consumer-2.1.jsonl").write_text(
        "Traceback (most recent call last):\n  here\nKeyError: 1\n"
    )
    assert [(found.member, found.text) for found in complaints(tmp_path)] == [
        ("consumer-1.1", "step.failed: KeyError(1)"),
        ("consumer-2.1", "it ended with a traceback: KeyError: 1"),
    ]


def test_histories_and_facts_become_evidence() -> None:
    events = [
        {"t": s(0), "event": "load", "rate": 1},
        {"t": s(0), "event": "invoke", "n": 1, "op": "submit"},
        {"t": s(0.02), "event": "ok", "n": 1, "id": T, "status": "pending", "fencing_token": 0},
        {
            "t": s(0.11),
            "event": "start",
            "id": T,
            "token": 1,
            "member": "consumer-1.1",
            "kind": "chaos.effect",
        },
        {"t": s(0.19), "event": "end", "id": T, "token": 1, "member": "consumer-1.1", "how": "ok"},
        {"t": s(90), "event": "load.end"},
        {"t": s(100), "event": "leave"},
        {"t": s(100.5), "event": "exit", "member": "consumer-1.1", "status": 0},
    ]
    facts = {
        "settings": {"lease": 3.0, "drain": 3.0, "capacity": 20},
        "rows": [
            {
                "id": T,
                "status": "completed",
                "kind": "chaos.effect",
                "message": "1",
                "token": 2,
                "error": None,
            }
        ],
        "effects": [{"id": T, "token": 1}],
        "transitions": [
            {
                "seq": found.seq,
                "t": found.at,
                "id": T,
                "old_status": found.old,
                "new_status": found.new,
                "old_token": found.old_token,
                "new_token": found.new_token,
                "crashes": found.crashes,
            }
            for found in GOOD.changes
        ],
    }
    evidence = gather(events, facts)
    assert evidence == GOOD
    assert judge(evidence).clean
