from __future__ import annotations

from typing import Any, cast

import pytest
from pydantic import ValidationError

from sluice import Context
from sluice.consumer.handlers.builtin import Fail, Sleep, echo, fail, sleep
from sluice.consumer.handlers.loader import load
from sluice.consumer.handlers.registry import Mode
from tests.unit.support import now, virtual


class Try:
    def __init__(self, **facts: Any) -> None:
        self.__dict__.update(facts)


def ctx(**facts: Any) -> Context:
    return cast("Context", Try(**facts))


@virtual
async def test_echo_returns_the_message() -> None:
    assert await echo(ctx(message="Hello World"), {}) == "Hello World"
    assert await echo(ctx(message=None), {"ignored": 1}) is None


@virtual
async def test_sleep_sleeps_and_says_how_long() -> None:
    assert await sleep(ctx(), Sleep(seconds=90)) == {"slept": 90}
    assert now() == 90
    assert Sleep().seconds == 1


@virtual
async def test_fail_fails_as_often_as_it_was_asked_to() -> None:
    for attempt in (1, 2):
        with pytest.raises(RuntimeError, match=f"failing try {attempt} of 2, as asked for"):
            await fail(ctx(attempt=attempt), Fail(times=2))
    assert await fail(ctx(attempt=3), Fail(times=2)) == {"failed": 2}


@pytest.mark.parametrize(
    ("payload", "model"),
    [
        ({"seconds": -1}, Sleep),
        ({"seconds": float("nan")}, Sleep),
        ({"seconds": 604801}, Sleep),
        ({"second": 1}, Sleep),
        ({"times": -1}, Fail),
        ({"times": 101}, Fail),
        ({"times": 1, "more": 1}, Fail),
    ],
    ids=str,
)
def test_a_payload_that_makes_no_sense_is_refused(payload: dict[str, Any], model: type[Sleep | Fail]) -> None:
    with pytest.raises(ValidationError):
        model.model_validate(payload)


def test_they_all_run_on_the_loop_and_leave_tries_and_time_to_the_defaults() -> None:
    assert {(found.mode, found.max_attempts, found.timeout) for found in load(()).values()} == {
        (Mode.LOOP, None, None)
    }
