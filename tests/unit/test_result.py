from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, RootModel

from sluice.consumer.handlers.result import UnstorableResult, encode
from sluice.core.task import MAX_NESTING, MAX_RESULT_BYTES


class Model(BaseModel):
    amount: Any
    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Data:
    amount: Any
    _hidden: float = math.nan


@dataclass(slots=True)
class Slotted:
    amount: Any
    _hidden: float = math.nan


class Level(IntEnum):
    LOW = 1


class Odd(Enum):
    NAN = math.nan
    FINE = "fine"


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (True, "true"),
        (0, "0"),
        (-(2**63), "-9223372036854775808"),
        (2**64 - 1, "18446744073709551615"),
        (0.1, "0.1"),
        (-0.0, "-0.0"),
        (1e300, "1e+300"),
        ("Grüße \U0001f600", '"Grüße \U0001f600"'),
        ("", '""'),
        ([None, {"null": None}], '[null,{"null":null}]'),
        ((1, 2), "[1,2]"),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Level.LOW, "1"),
        (Odd.FINE, '"fine"'),
        (Data(None), '{"amount":null}'),
        (Slotted([Data(1.5)]), '{"amount":[{"amount":1.5}]}'),
        (Model(amount=None), '{"amount":null,"at":"2026-01-01T00:00:00Z"}'),
        ([RootModel[list[int]]([1])], "[[1]]"),
        (
            Model(amount=[None, Decimal("1.10"), {2}]),
            '{"amount":[null,"1.10",[2]],"at":"2026-01-01T00:00:00Z"}',
        ),
    ],
    ids=repr,
)
def test_what_json_can_say_is_kept_as_it_is(result: object, text: str) -> None:
    assert encode(result) == text


def test_nothing_stays_nothing_and_is_not_the_json_null() -> None:
    assert encode(None) is None
    assert encode([None]) == "[null]"


@pytest.mark.parametrize(
    "result",
    [
        2**64,
        -(2**63) - 1,
        {1: "x"},
        {None: 1},
        {1, 2},
        b"x",
        1j,
        object(),
        print,
        Decimal(1),
        Model(amount=object()),
    ],
    ids=lambda result: type(result).__name__,
)
def test_what_json_cannot_say_is_refused(result: object) -> None:
    with pytest.raises(UnstorableResult, match=r"^the result is not JSON: "):
        encode(result)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "around",
    [
        lambda n: n,
        lambda n: [1, None, n],
        lambda n: (n,),
        lambda n: {"a": {"b": n}},
        Data,
        Slotted,
        lambda n: Model(amount=n),
        lambda n: [Model(amount={"deep": n})],
        lambda n: Model(amount={n}),
        RootModel[float],
        lambda n: Data(Slotted(Model(amount=n))),
    ],
    ids=[
        "bare",
        "list",
        "tuple",
        "dict",
        "dataclass",
        "slots",
        "model",
        "model in list",
        "set in model",
        "root",
        "mixed",
    ],
)
def test_no_number_becomes_null_in_silence(around: Any, number: float) -> None:
    with pytest.raises(UnstorableResult, match="NaN or an infinity"):
        encode(around(number))


def test_what_a_dataclass_was_given_beside_its_fields_is_looked_at_too() -> None:
    data = Data(1)
    data.__dict__["more"] = math.nan
    with pytest.raises(UnstorableResult, match="NaN"):
        encode(data)


def test_an_enum_s_nan_is_none_the_less_one() -> None:
    with pytest.raises(UnstorableResult, match="NaN"):
        encode([Odd.NAN])


@pytest.mark.parametrize("text", ["\0", "a\0b", "\\\0", "\\\\\0", "\\u0000\0"], ids=repr)
@pytest.mark.parametrize(
    "around", [lambda t: t, lambda t: [{"a": t}], lambda t: {t: 1}], ids=["bare", "in", "key"]
)
def test_a_nul_is_refused_wherever_it_stands(around: Any, text: str) -> None:
    with pytest.raises(UnstorableResult, match="NUL"):
        encode(around(text))


@pytest.mark.parametrize("text", [r"\u0000", r"\\u0000", r"a\\\u0000", "\\", r"\x00 \0", "u0000"], ids=repr)
def test_a_backslash_before_what_looks_like_an_escape_is_no_nul(text: str) -> None:
    encoded = encode({text: text})
    assert encoded is not None
    assert json.loads(encoded) == {text: text}


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb"], ids=repr)
@pytest.mark.parametrize("around", [lambda t: t, lambda t: [t], lambda t: {t: 1}], ids=["bare", "in", "key"])
def test_a_lone_surrogate_is_refused(around: Any, text: str) -> None:
    with pytest.raises(UnstorableResult, match="not JSON"):
        encode(around(text))


def test_a_result_nests_as_deep_as_a_payload_may_and_no_deeper() -> None:
    assert encode(nested(MAX_NESTING)) == "[" * MAX_NESTING + "]" * MAX_NESTING
    with pytest.raises(UnstorableResult, match=f"more than {MAX_NESTING} levels"):
        encode(nested(MAX_NESTING + 1))
    with pytest.raises(UnstorableResult, match=f"more than {MAX_NESTING} levels"):
        encode({"a": nested(MAX_NESTING)})


@pytest.mark.parametrize("levels", [300, 10_000])
def test_nesting_without_end_is_no_crash(levels: int) -> None:
    with pytest.raises(UnstorableResult):
        encode(nested(levels))


def test_a_result_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(UnstorableResult):
        encode(endless)


def test_brackets_side_by_side_or_in_text_are_no_nesting() -> None:
    assert encode([[]] * 1000)
    assert encode("[{" * 1000)


def test_the_size_is_that_of_the_json_in_bytes() -> None:
    fits = "ä" * (MAX_RESULT_BYTES // 2 - 1)

    assert encode(fits) == f'"{fits}"'
    with pytest.raises(UnstorableResult, match="larger than 1048576 bytes"):
        encode(fits + "x")
