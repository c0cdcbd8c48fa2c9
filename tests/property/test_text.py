from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from sluice.core.outcome import Failure, storable
from sluice.core.task import MAX_ERROR_BYTES
from sluice.core.telemetry.lines import _printable

any_text = st.text(st.characters(codec=None, exclude_categories=()), max_size=60)
limits = st.integers(0, 100)


@given(any_text, limits)
def test_text_for_a_row_can_be_stored_and_fits(text: str, limit: int) -> None:
    kept = storable(text, limit)
    assert "\0" not in kept
    assert len(kept.encode("utf-8")) <= limit
    assert storable(kept, limit) == kept


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60), limits)
def test_what_can_be_stored_is_only_cut_and_by_no_more_than_a_character(text: str, limit: int) -> None:
    kept = storable(text, limit)
    assert text.startswith(kept)
    assert kept == text or len(text[: len(kept) + 1].encode()) > limit


@given(any_text, st.integers(0, 100))
def test_a_failure_can_always_be_stored(text: str, times: int) -> None:
    failure = Failure.of(ValueError(text * times))
    assert failure.type == "ValueError"
    assert "\0" not in failure.message
    assert len(failure.message.encode("utf-8")) <= MAX_ERROR_BYTES


@given(st.dictionaries(st.sampled_from(["event", "error", "exception", "stack", "traceback"]), any_text))
def test_no_line_of_the_log_holds_what_a_terminal_obeys(facts: dict[str, str]) -> None:
    shown = _printable(None, "info", dict(facts))
    assert isinstance(shown, dict)
    for name, text in shown.items():
        assert all(line.isprintable() for line in text.split("\n"))
        assert "\n" not in text or name in {"exception", "stack"}
