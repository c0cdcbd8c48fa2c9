"""Histories that are guilty by hand: for each verdict those that it must convict."""

from __future__ import annotations

from dataclasses import replace

from tests.chaos.evidence import Complaint, Evidence, Exit, Fault, Op, Row
from tests.chaos.innocence import (
    BORN,
    CLAIMED,
    COMPLETED,
    ROW,
    RUN,
    SUBMIT,
    T,
    cancel,
    change,
    s,
    with_,
)

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
        # a process that was told to stop gives back what it has not done, and is not cut off by a Redis that is away
        with_(
            changes=[BORN, CLAIMED, change(4, "processing", "pending", 2, crashes=1)],
            faults=[Fault("consumer told to stop", "consumer-1", s(0.15), s(3))],
            exits=[Exit("consumer-1.1", s(1), 0)],
        ),
        with_(
            changes=[BORN, CLAIMED, change(4, "processing", "pending", 2, crashes=1)],
            faults=[Fault("black hole both ways", "consumer-1/redis", s(0.15), s(3))],
        ),
        with_(
            changes=[BORN, CLAIMED, change(1, "processing", "pending", 2, crashes=1)],
            faults=[Fault("clock stepped", "postgresql", s(0.15), s(3))],
        ),
    ],
    "tries charged for nothing": [
        # its group was told to stop, and a child was taken along
        with_(
            changes=[BORN, CLAIMED, change(0.2, "processing", "pending", 2, attempt=1)],
            rows={T: replace(ROW, kind="chaos.compute")},
            runs=[replace(RUN, kind="chaos.compute", ended=1 << 62, how="")],
            faults=[Fault("consumer's group told to stop", "consumer-1", s(0.15), s(3))],
        ),
        # it raised, and nothing was done to it
        with_(
            changes=[BORN, CLAIMED, change(0.2, "processing", "pending", 2, attempt=1)],
            runs=[replace(RUN, how="raised")],
        ),
        # somebody locked another task
        with_(
            changes=[BORN, CLAIMED, change(0.2, "processing", "failed", 2, attempt=1)],
            faults=[Fault("row locked", "postgresql", s(0), s(20), task="another")],
        ),
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
            exits=[Exit("consumer-1.1", s(8), 0, told=s(3))],
            faults=[Fault("consumer told to stop", "consumer-1", s(1), s(9))],
        ),
        with_(
            exits=[Exit("consumer-1.1", s(2), 1)],
            faults=[Fault("consumer told to stop", "consumer-1", s(1), s(9))],
        ),
    ],
    "processes left behind": [with_(left_behind=[Complaint("consumer-1.1", "a fork server")])],
    "faults of the program": [
        with_(complaints=[Complaint("consumer-1.1", "it ended with a traceback")]),
        with_(ops=[SUBMIT, Op(2, "get", s(1), s(1.1), "fail", T, code=500)]),
    ],
    "repeated for nothing": [with_(runs=[RUN, replace(RUN, token=3, started=s(20), ended=s(20.1))])],
}
