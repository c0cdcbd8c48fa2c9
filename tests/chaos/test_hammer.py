"""A claim against a cancel (R1, C1 cancel): the two answers and the row are consistent with one order of the two."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import pytest

from sluice.core.ids import new_task_id
from sluice.core.task import (
    DEFAULT_QUEUE,
    Claim,
    FencingToken,
    JsonText,
    Kind,
    Status,
    Task,
)
from tests.chaos.hammer import Left, Raced, order_of, race
from tests.support.consuming import FULL

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CANCELED = Task(
    id=new_task_id(),
    message=None,
    status=Status.CANCELED,
    created_at=NOW,
    updated_at=NOW,
    kind=Kind("chaos.race"),
    queue=DEFAULT_QUEUE,
    priority=5,
    payload={},
    run_at=NOW,
    attempt=0,
    max_attempts=5,
    crashes=0,
    timeout=1.0,
    fencing_token=FencingToken(1),
    consumer_id=None,
    started_at=None,
    finished_at=NOW,
    canceled_from=Status.PENDING,
    result=None,
    error=None,
)
LATE = replace(CANCELED, fencing_token=FencingToken(2), canceled_from=Status.PROCESSING)
CLAIM = Claim(
    CANCELED.id, FencingToken(1), CANCELED.kind, DEFAULT_QUEUE, 5, None, JsonText("{}"), 1, 5, 0, 1.0
)


def left(task: Task) -> Left:
    return Left(task.status, task.fencing_token, task.canceled_from)


@pytest.mark.timeout(180)
async def test_a_claim_and_a_cancel_at_once_come_in_one_order_and_in_either(database_url: str) -> None:
    raced = await race(database_url, 20_000 if FULL else 2_000, Random(7))
    assert not raced.broken
    assert raced.fair, raced.line()


@pytest.mark.parametrize(
    ("claims", "canceled", "order"),
    [
        ([], CANCELED, Status.PENDING),
        ([CLAIM], LATE, Status.PROCESSING),
        ([CLAIM], CANCELED, None),
        ([], LATE, None),
        ([CLAIM], replace(LATE, fencing_token=FencingToken(1)), None),
        ([CLAIM, CLAIM], LATE, None),
        ([], replace(CANCELED, fencing_token=FencingToken(2)), None),
        ([], None, None),
    ],
)
def test_answers_that_fit_no_order_are_told(
    claims: list[Claim], canceled: Task | None, order: Status | None
) -> None:
    assert order_of(claims, canceled, left(canceled or CANCELED)) is order


def test_an_answer_that_the_row_contradicts_fits_no_order() -> None:
    assert order_of([], CANCELED, left(replace(CANCELED, status=Status.COMPLETED))) is None
    assert order_of([], CANCELED, None) is None


def test_a_race_that_one_side_always_wins_is_none() -> None:
    assert Raced(500, 500, []).fair
    assert not Raced(960, 40, []).fair
    assert not Raced(500, 500, ["one"]).fair
