"""The checker itself: a history that is in order convicts nobody, and each crime is found by its own verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.chaos.crimes import CRIMES
from tests.chaos.evidence import Evidence, Exit, Fault, Op
from tests.chaos.innocence import (
    BORN,
    CLAIMED,
    GOOD,
    KILL,
    ROW,
    RUN,
    SUBMIT,
    T,
    cancel,
    change,
    s,
    with_,
)
from tests.chaos.report import judge
from tests.chaos.verdicts import VERDICTS


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
    # the row was locked by somebody, and its completion could not be written
    lambda: with_(
        changes=[
            BORN,
            CLAIMED,
            change(4, "processing", "pending", 2, attempt=1),
            change(5, "pending", "processing", 3, attempt=2),
            change(5.2, "processing", "completed", 4, attempt=2),
        ],
        runs=[RUN, replace(RUN, token=3, started=s(5), ended=s(5.1))],
        rows={T: replace(ROW, token=4)},
        effects={T: [3]},
        faults=[Fault("row locked", "postgresql", s(0), s(4), task=T)],
    ),
    # it raised as it was asked to
    lambda: with_(
        changes=[
            BORN,
            CLAIMED,
            change(0.2, "processing", "pending", 2, attempt=1),
            change(5, "pending", "processing", 3, attempt=2),
            change(5.2, "processing", "completed", 4, attempt=2),
        ],
        runs=[replace(RUN, how="raised"), replace(RUN, token=3, started=s(5), ended=s(5.1))],
        rows={T: replace(ROW, kind="chaos.flaky", token=4)},
        effects={},
    ),
    # its tasks were made first, and the signal came with the fourth second
    lambda: with_(
        exits=[Exit("consumer-1.1", s(8), 0, told=s(4))],
        faults=[Fault("consumer's group told to stop", "consumer-1", s(1), s(9))],
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
