"""Types of single values, each with JSON that it may or may not take; most of it fits."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from ipaddress import IPv4Address
from pathlib import Path
from re import Pattern
from typing import Annotated, Any, Literal

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import (
    AfterValidator,
    AnyUrl,
    BeforeValidator,
    ByteSize,
    Discriminator,
    Field,
    Json,
    PlainValidator,
    SecretStr,
    StringConstraints,
    Tag,
    WrapValidator,
)

from tests.property.payload_classes import (
    Cat,
    Completes,
    Dog,
    First,
    Lenient,
    Level,
    Mixed,
    Pair,
    Point,
    Ratio,
    Renames,
    Rights,
    Second,
    Size,
    Tree,
    shape_of,
)

Values = SearchStrategy[Any]


@dataclass(frozen=True)
class Shape:
    """A type, and JSON for it."""

    annotation: Any
    values: Values = field(repr=False)


TREES = st.recursive(
    st.fixed_dictionaries({"v": st.sampled_from([1, "2", True])}),
    lambda inner: st.fixed_dictionaries(
        {"v": st.just(3)}, optional={"below": st.lists(inner, max_size=2), "value": st.just("x")}
    ),
    max_leaves=4,
)
_TEXTS = ["", "a", "aaa", "A", " a ", "é", "٣", "7", "0123456789", "a\n", "ß", "İ", "a+b"]
TEXTS = st.sampled_from(_TEXTS)
_NUMBERS = [
    0,
    1,
    2,
    3,
    7,
    -1,
    0.0,
    -0.0,
    1.0,
    1.5,
    0.3,
    0.5,
    9.0,
    1e300,
    2**53,
    2**53 + 1,
    2**63,
    2**64 - 1,
    86400,
    -(2**63),
]
NUMBERS = st.sampled_from(_NUMBERS)
_NUMERIC_TEXTS = [
    "1",
    " 1 ",
    "1.0",
    "+1",
    "-1",
    "1_0",
    "7",
    "9",
    "1.5",
    "1e2",
    ".5",
    "1.",
    "inf",
    "-Infinity",
    "NaN",
    "٣",
    "0.50",
]
NUMERIC_TEXTS = st.sampled_from(_NUMERIC_TEXTS)
_YES_OR_NO = ["true", "FALSE", "on", "Off", "y", "n", "YES", "no", "0", "1", "t", "F"]
YES_OR_NO = st.sampled_from(_YES_OR_NO)
_TIMES = [
    *(
        "2030-01-31",
        "2030-01-31T09:30:00Z",
        "2030-01-31 09:30",
        "09:30",
        "09:30:01.5Z",
        "P1DT2H",
        "1 day, 01:00:00",
    ),
    *("1738315800", "00:10", 0, 86400, 1738315800.25),
]
TIMES = st.sampled_from(_TIMES)
EVERYTHING = [
    *(None, True, False, *_NUMBERS, *_TEXTS, *_NUMERIC_TEXTS, *_YES_OR_NO, *_TIMES),
    *(
        [],
        [1],
        [1, 1],
        [1, "2"],
        ["a", "b"],
        {},
        {"a": 1},
        {"x": "1"},
        {"x": 1, "y": "2"},
        {"name": "x"},
        {"title": "x"},
    ),
]
ODD = st.sampled_from(EVERYTHING)


def mostly(values: Values) -> Values:
    return st.integers(0, 15).flatmap(lambda number: values if number else ODD)


def plain(annotation: Any, *values: Values) -> Shape:
    return Shape(annotation, mostly(st.one_of(*values)))


def some(*values: Any) -> Values:
    return st.sampled_from(values)


NUMERIC = (NUMBERS, NUMERIC_TEXTS, st.booleans())
PATTERNS = (r"^[a-z]+$", r"^\d+$", r"^\w*$", "(?i)^A+$", "^a*+$", r"^a\+b$", "^[a&&b]$", "^.$", "a$", r"\S")
SCALARS: list[Shape] = [
    *(plain(annotation, *NUMERIC) for annotation in (int, float, Decimal, Fraction, complex, ByteSize)),
    *(plain(Annotated[int, Field(strict=strict)], *NUMERIC) for strict in (True, False)),
    *(plain(Annotated[float, Field(strict=strict)], *NUMERIC) for strict in (True, False)),
    *(plain(Annotated[int, bound], *NUMERIC) for bound in (Field(ge=1, le=9), Field(gt=0, lt=2**63), Field(le=2**70))),
    *(plain(Annotated[float, bound], *NUMERIC) for bound in (Field(ge=0.3, lt=1), Field(le=float(2**53)))),
    *(plain(Annotated[kind, Field(multiple_of=3)], *NUMERIC) for kind in (int, float, Decimal)),
    plain(Annotated[float, Field(multiple_of=0.1, ge=float("-inf"))], *NUMERIC),
    plain(Annotated[Decimal, Field(ge=Decimal("0.3"), max_digits=3)], *NUMERIC),
    *(plain(annotation, YES_OR_NO, *NUMERIC) for annotation in (bool, Annotated[bool, Field(strict=True)])),
    *(plain(annotation, TEXTS) for annotation in (str, bytes, Path, SecretStr, Pattern[str], Json[int])),
    *(plain(Annotated[str, Field(pattern=pattern)], TEXTS) for pattern in PATTERNS),
    *(plain(Annotated[kind, Field(min_length=1, max_length=1)], TEXTS) for kind in (str, bytes)),
    *(
        plain(Annotated[str, StringConstraints(min_length=2, max_length=2, pattern="^[a-z]*$", **change)], TEXTS)
        for change in ({"strip_whitespace": True}, {"to_lower": True}, {"to_upper": True}, {"strict": True})
    ),
    *(plain(annotation, TIMES) for annotation in (date, datetime, time, timedelta)),
    plain(uuid.UUID, st.uuids().map(str)),
    plain(AnyUrl, some("http://a", "HTTPS://B:80/%20?x#y", "mailto:a")),
    plain(IPv4Address, some("127.0.0.1", 1, True)),
    plain(None, st.none()),
    plain(Any, ODD),
    plain(Literal[1, "a", None], some(1, 1.0, True, "a", None)),  # noqa: PYI061 - one literal
    plain(Literal[True, Level.HIGH, Size.S, b"b"], some(1, 7, "s", "b")),
    *(plain(kind, some("s", "1", 1, 7, 1.0, True, "7", 0.5, "0.5", "text", ["a", "b"], "A", 3)) for kind in (
        Size, Level, Ratio, Mixed, Pair, Rights, Lenient
    )),
    plain(Point, some([1], [1, "2"], {"x": 1}, {"x": "1", "y": 2}, {"y": 1})),
    plain(Completes, some({}, {"name": "x"}, {"name": 1})),
    plain(Renames, some({"title": "x"}, {"name": "x"}, {"other": "x"})),
    plain(Tree, TREES),
    plain(Cat | Dog, some({"Kind": "cat", "lives": 9}, {"Kind": "wolf"})),
    *(
        plain(
            Annotated[union, Field(discriminator=tag)],
            some({"Kind": "cat", "lives": "9"}, {"Kind": "wolf", "lives": "x"}, {"Kind": "cow"}),
            some({"version": True, "text": "x"}, {"version": 2.0, "number": "1"}, {"version": None, "number": 1}),
        )
        for union, tag in ((Cat | Dog, "kind"), (First | Second, "version"))
    ),
    plain(
        Annotated[
            Annotated[list[int], Tag("list")] | Annotated[float, Tag("number")], Discriminator(shape_of)
        ],
        some([1], 1, "1"),
    ),
    plain(Annotated[int, BeforeValidator(lambda value: value or 0)], ODD),
    plain(Annotated[int, AfterValidator(abs)], *NUMERIC),
    plain(Annotated[int, PlainValidator(lambda value: len(str(value)))], ODD),
    plain(Annotated[int, WrapValidator(lambda value, then: 0 if isinstance(value, dict) else then(value))], ODD),
]  # fmt: skip
