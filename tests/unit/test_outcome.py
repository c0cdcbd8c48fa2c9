from __future__ import annotations

import pytest

from sluice.core.outcome import Failure, storable
from sluice.core.task import MAX_ERROR_BYTES


def test_a_failure_keeps_the_name_and_the_message() -> None:
    assert Failure.of(KeyError("user")) == Failure("KeyError", "'user'")
    assert Failure.of(SystemExit(3)) == Failure("SystemExit", "3")
    assert Failure.of(RuntimeError()) == Failure("RuntimeError", "")


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


class NotText(Exception):
    def __str__(self) -> str:
        return 5  # type: ignore[return-value]  # noqa: PLE0307 - what is tested


@pytest.mark.parametrize(
    ("error", "why"),
    [(Unprintable(), "ZeroDivisionError"), (NotText(), "TypeError")],
    ids=["raises", "no str"],
)
def test_an_exception_that_cannot_say_its_message_is_still_a_failure(error: Exception, why: str) -> None:
    assert Failure.of(error) == Failure(type(error).__name__, f"(its message could not be read: {why})")


def test_a_failure_can_be_stored_whatever_the_exception_says() -> None:
    failure = Failure.of(type("Ä" * 200, (Exception,), {})("\0\ud800" + "x" * 5000))

    assert failure.message == "\N{REPLACEMENT CHARACTER}?" + "x" * (MAX_ERROR_BYTES - 4)
    assert failure.type == "Ä" * 128


@pytest.mark.parametrize(
    ("text", "limit", "kept"),
    [
        ("plain", 100, "plain"),
        ("plain", 3, "pla"),
        ("ä", 1, ""),
        ("aä€😀", 3, "aä"),
        ("aä€😀", 9, "aä€"),
        ("aä€😀", 10, "aä€😀"),
        ("a\0b", 10, "a\N{REPLACEMENT CHARACTER}b"),
        ("a\0b", 3, "a"),
        ("\udc00", 10, "?"),
        ("", 0, ""),
    ],
)
def test_text_is_cut_on_a_character_s_border(text: str, limit: int, kept: str) -> None:
    assert storable(text, limit) == kept
