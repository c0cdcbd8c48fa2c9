from __future__ import annotations

import math
from typing import Any

import hypothesis.strategies as st
import orjson
from hypothesis import example, given

from sluice.consumer.handlers.result import UnstorableResult, encode
from sluice.core.task import MAX_NESTING

characters = st.characters(codec=None, exclude_categories=()) | st.sampled_from('\0\\u0{["\ud800')
texts = st.text(characters, max_size=12)
scalars = st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats() | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def sound(value: Any) -> bool:
    """Whether JSON can say it and PostgreSQL keep it, said once more in other words."""
    match value:
        case bool() | None:
            return True
        case int():
            return -(2**63) <= value < 2**64
        case float():
            return math.isfinite(value)
        case str():
            return "\0" not in value and not any(0xD800 <= ord(character) < 0xE000 for character in value)
        case list():
            return all(map(sound, value))
        case _:
            return all(map(sound, value)) and all(map(sound, value.values()))


@given(values)
@example("\\\\u0000")
@example({"\\": "\\u0000"})
@example([None, math.nan])
def test_a_result_is_kept_exactly_or_refused(value: object) -> None:
    try:
        text = encode(value)
    except UnstorableResult:
        assert not sound(value)
        return
    assert sound(value)
    assert (orjson.loads(text) if text is not None else None) == value


@given(st.integers(1, 120), st.sampled_from("[{"), scalars.filter(sound))
def test_nesting_is_counted_exactly(levels: int, bracket: str, innermost: object) -> None:
    value = innermost
    for _ in range(levels):
        value = [value] if bracket == "[" else {"[": value}
    try:
        encode(value)
    except UnstorableResult:
        assert levels > MAX_NESTING
    else:
        assert levels <= MAX_NESTING
