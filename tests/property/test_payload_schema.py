"""The API's gate takes every payload that the handler's model takes, and still refuses what is plainly wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import orjson
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from pydantic import (
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from sluice.api.submit.kinds import Kinds
from sluice.api.submit.strict_json import decode
from sluice.consumer.handlers.payload.schema import payload_schema
from sluice.core.events import Event
from sluice.core.task import Kind
from sluice.db.browse import Served
from tests.property.payload_scalars import EVERYTHING, SCALARS, Shape
from tests.property.payload_types import as_json, payload_types, shapes

KIND = Kind("made.up")


class Gate:
    """What the API makes of a type's schema, once a consumer has written it down."""

    def __init__(self, adapter: TypeAdapter[Any]) -> None:
        self.schema = orjson.loads(orjson.dumps(payload_schema(adapter.core_schema)))
        kinds = Kinds(NoKinds(), refuse_unknown=True, report=self._report)
        self._known = kinds._compiled(KIND, Served(KIND, self.schema, None, None))

    def _report(self, event: Event) -> None:
        raise AssertionError(f"{event}: {self.schema}")

    def takes(self, payload: Any) -> bool:
        return self._known.takes(payload)

    def flaws(self, payload: Mapping[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
        return [(flaw.path, flaw.detail) for flaw in self._known.flaws(payload)]


class NoKinds:
    async def kinds(self) -> Mapping[Kind, Served]:
        return {}


def is_taken(adapter: TypeAdapter[Any], payload: object) -> bool:
    """Whether the handler would be called with it."""
    try:
        adapter.validate_json(orjson.dumps(payload))
    except (ValidationError, NotImplementedError):
        return False
    return True


@pytest.mark.parametrize("shape", SCALARS, ids=range(len(SCALARS)))
def test_of_every_value_the_gate_takes_what_a_type_takes(shape: Shape) -> None:
    adapter = TypeAdapter[Any](shape.annotation)
    gate = Gate(adapter)
    for value in EVERYTHING:
        payload = decode(as_json(value))
        assert gate.takes(payload) or not is_taken(adapter, payload), (payload, gate.schema)


@pytest.mark.filterwarnings(
    "ignore:Possible set intersection:FutureWarning"
)  # Python's word on a pattern that is tried
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data(), shape=st.one_of(payload_types, shapes))
def test_whatever_the_model_takes_the_gate_takes(data: st.DataObject, shape: Shape) -> None:
    adapter = TypeAdapter[Any](shape.annotation)
    gate = Gate(adapter)
    for value in data.draw(st.lists(shape.values, min_size=3, max_size=6)):
        payload = decode(as_json(value))
        if is_taken(adapter, payload):
            event("taken")
            assert gate.takes(payload), (payload, gate.schema)
        else:
            event("let through" if gate.takes(payload) else "refused")


class Named(BaseModel):
    """Each field has more than one name."""

    model_config = ConfigDict(validate_by_name=True)
    user_id: int = Field(alias="userId")
    group: Annotated[str, Field(validation_alias=AliasChoices("group", "team"))]
    first: int = Field(0, validation_alias=AliasPath("numbers", 0))


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    number: int
    sort: Literal["a", "b"] = "a"


class Line(BaseModel):
    amount: Annotated[int, Field(ge=1)]
    note: str | None = None
    tags: list[str] = []


class Collapses(BaseModel):
    """Two values of the JSON may become one."""

    names: Annotated[set[str], Field(max_length=1)] = set()
    counts: Annotated[dict[int, int], Field(max_length=1)] = {}
    code: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2, pattern="^a+$")] = "a"
    bound: Annotated[float, Field(ge=float("-inf"), le=2**70, multiple_of=0.1)] = 0


class Ready(BaseModel):
    at: Annotated[int, BeforeValidator(lambda value: value["at"] if isinstance(value, dict) else value)]
    lines: list[Line]


@pytest.mark.parametrize(
    ("model", "payload"),
    [
        (Named, {"userId": 1, "group": "x"}),
        (Named, {"user_id": 1, "team": "x"}),
        (Named, {"userId": "1", "user_id": "not looked at", "team": "x"}),
        (Named, {"userId": 1, "group": "x", "numbers": ["7"]}),
        (Line, {"amount": "7"}),
        (Line, {"amount": 7.0, "note": None, "more": 1}),
        (Ready, {"at": {"at": 7}, "lines": [{"amount": True}]}),
        (Collapses, {"names": ["a", "a"], "counts": {"1": 1, "01": 2}, "code": "  aa ", "bound": 0.3}),
    ],
)
def test_what_clients_send_in_other_words_is_taken(model: type[BaseModel], payload: dict[str, Any]) -> None:
    adapter = TypeAdapter(model)

    assert is_taken(adapter, payload)
    assert Gate(adapter).takes(payload)


@pytest.mark.parametrize(
    ("model", "payload", "flaws"),
    [
        (Named, {"group": "x"}, [((), '"userId" is a required property')]),
        (Named, {"user_id": "x", "group": 1}, [
            (("user_id",), 'the value is not of type "integer"'),
            (("group",), 'the value is not of type "string"'),
        ]),
        (Line, {}, [((), '"amount" is a required property')]),
        (Line, {"amount": "seven"}, [(("amount",), 'the value is not of type "integer"')]),
        (Line, {"amount": 1.5}, [(("amount",), 'the value is not of type "integer"')]),
        (Line, {"amount": 0}, [(("amount",), "the value is less than the minimum of 1")]),
        (Line, {"amount": 1, "note": 1}, [(("note",), 'the value is not of type "string"')]),
        (Line, {"amount": 1, "tags": ["x", 1]}, [(("tags", 1), 'the value is not of type "string"')]),
        (Ready, {"at": 1, "lines": [{"amount": 1}, {}]}, [(("lines", 1), '"amount" is a required property')]),
        (Strict, {"number": "1"}, [(("number",), 'the value is not of type "integer"')]),
        (Strict, {"number": 1, "sort": "c"}, [(("sort",), 'the value is not one of "a" or "b"')]),
        (Strict, {"number": 1, "x": 1}, [((), "Additional properties are not allowed ('x' was unexpected)")]),
    ],
)  # fmt: skip
def test_what_is_plainly_wrong_is_refused_at_its_place(
    model: type[BaseModel], payload: dict[str, Any], flaws: list[tuple[tuple[str | int, ...], str]]
) -> None:
    assert sorted(Gate(TypeAdapter(model)).flaws(payload)) == sorted(flaws)


def test_a_schema_is_the_same_in_every_process() -> None:
    """What consumers write down changes with the code alone: names of classes carry addresses in pydantic."""

    def tree() -> type[BaseModel]:
        class Tree(BaseModel):
            below: list[Tree] = []

        Tree.model_rebuild()
        return Tree

    first, second = (payload_schema(TypeAdapter(tree()).core_schema) for _ in range(2))
    assert first == second
