"""Tracebacks as a log shows them begin in the user's code."""

from __future__ import annotations

import pytest

from sluice import Context
from sluice.consumer.handlers.tracebacks import of_handler
from sluice.core.outcome import Failed
from tests.unit.executing import outcome_of
from tests.unit.support import virtual


@virtual
async def test_the_traceback_of_a_handler_begins_in_the_handler() -> None:
    def deeper() -> None:
        raise ValueError("broken") from KeyError("why")

    async def broken(ctx: Context, payload: object) -> None:
        deeper()

    outcome, _ = await outcome_of(broken)

    assert isinstance(outcome, Failed)
    lines = (outcome.traceback or "").splitlines()
    frames = [line for line in lines if line.startswith("  File ")]
    assert [line.rpartition(" in ")[2] for line in frames] == ["broken", "deeper"]
    assert lines[0] == "KeyError: 'why'", "what caused it is told as well"
    assert lines[-1] == "ValueError: broken"


@virtual
async def test_where_no_line_of_the_handler_ran_it_says_who_called_it() -> None:
    async def never(ctx: Context, payload: object) -> None: ...

    outcome, _ = await outcome_of(never, payload="{")

    assert isinstance(outcome, Failed)
    assert "JSONDecodeError" in (outcome.traceback or "")
    assert "  File " in (outcome.traceback or "")


def test_an_exception_that_cannot_be_read_is_told_all_the_same() -> None:
    class Hostile(Exception):
        def __getattribute__(self, name: str) -> object:
            if name == "__notes__":
                raise KeyboardInterrupt
            return super().__getattribute__(name)

    with pytest.raises(Hostile) as raised:
        raise Hostile
    assert of_handler(raised.value) == "(it could not be read: KeyboardInterrupt)"
