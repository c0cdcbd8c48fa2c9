"""JSON is taken as it is or refused with its place; nothing is altered."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.api.problems.errors import MOST_FLAWS, NotJson, Unsound
from sluice.api.submit.strict_json import decode

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=20,
)


@given(VALUES)
def test_every_sound_value_comes_through_unaltered(value: Any) -> None:
    decoded = decode(json.dumps(value).encode())

    assert decoded == value
    assert orjson.loads(orjson.dumps(decoded)) == value
    assert json.dumps(decoded) == json.dumps(value)


@given(
    st.binary(max_size=40)
    | st.text('[]{}",:0123456789.eE-+\\unaltrufse \0\ud800', max_size=40).map(
        lambda t: t.encode("utf-8", "surrogatepass")
    )
)
def test_no_bytes_raise_anything_but_the_two_refusals(body: bytes) -> None:
    try:
        value = decode(body)
    except (NotJson, Unsound):
        return
    orjson.dumps(value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"{'a': 1}",
        b'{"a": 1,}',
        b"NaN",
        b"[Infinity]",
        b"[-Infinity]",
        b"1 2",
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"a\x00b"',
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
        b"01",
        b"+1",
        b".5",
        b"0x10",
        b'"\\x41"',
    ],
)
def test_what_is_not_json_is_told_so(body: bytes) -> None:
    with pytest.raises(NotJson):
        decode(body)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"a": [0, "x\\u0000y"]}', ("a", 1)),
        (b'{"a": {"b\\u0000": 1}}', ("a",)),
        (b'{"a": "\\ud800"}', ("a",)),
        (b'{"a": "\\udc00\\ud800"}', ("a",)),
        (b'{"\\udfff": 1}', ()),
        (b'{"a": 18446744073709551616}', ("a",)),
        (b"[-9223372036854775809]", (0,)),
        (b"[1, " + b"9" * 5000 + b"]", (1,)),
        (b"[-" + b"1" * 5000 + b"]", (0,)),
        (b'{"a": 1, "a": 1}', ()),
        (b'{"x": [{"a": 1, "b": 2, "a": 3}]}', ("x", 0)),
        (b"[1e-400]", (0,)),
        (b"[-0.000001e-500]", (0,)),
        (b"1e400", ()),
        (b'{"a": -1e400}', ("a",)),
        (b'{"a": [9007199254740993.0]}', ("a", 0)),
        (b"[-9007199254740993e0]", (0,)),
        (b"[12345678901234567.8e1]", (0,)),
        (b"[9007199254740992.5]", (0,)),
        (b"[1." + b"0" * 5000 + b"1e300]", (0,)),
        (b"[" * 65 + b"]" * 65, (0,) * 64),
        (b'{"a":' * 65 + b"1" + b"}" * 65, ("a",) * 64),
        (b"[" * 100_000 + b"]" * 100_000, ()),
        (b"[" * 100_000, ()),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else str(len(value)),
)
def test_what_could_not_be_kept_is_refused_with_its_place(body: bytes, path: tuple[str | int, ...]) -> None:
    with pytest.raises(Unsound) as refused:
        decode(body)

    [flaw] = refused.value.flaws
    assert flaw.path == path
    assert flaw.detail


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"18446744073709551615", 2**64 - 1),
        (b"-9223372036854775808", -(2**63)),
        (b'"\\ud83d\\ude00"', "😀"),
        (b"0e-999", 0.0),
        (b"-0", 0),
        (b"9007199254740992.0", 2.0**53),
        (b"-9007199254740994e0", -(2.0**53) - 2),
        (b"1e23", 1e23),
        (b"1." + b"0" * 5000 + b"e300", 1e300),
        (b"0.1000000000000000055511151231257827", 0.1),
        (b"5e-324", 5e-324),
        (b"1.7976931348623157e308", 1.7976931348623157e308),
        (b"[" * 64 + b"]" * 64, json.loads("[" * 64 + "]" * 64)),
    ],
)
def test_what_just_fits_is_taken(body: bytes, value: Any) -> None:
    assert decode(body) == value


def test_the_envelope_does_not_count_as_nesting() -> None:
    body = b'{"payload":' + b'{"a":' * 64 + b"1" + b"}" * 65

    assert decode(body, around=1)
    with pytest.raises(Unsound):
        decode(body)


def test_the_list_of_flaws_has_an_end() -> None:
    with pytest.raises(Unsound) as refused:
        decode(b"[" + b",".join([b"1e-999"] * 5000) + b"]")

    assert len(refused.value.flaws) == MOST_FLAWS
