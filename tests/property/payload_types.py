"""Types that a handler may name for its payload, made at random, each with JSON that it may or may not take."""

from __future__ import annotations

import json
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, make_dataclass
from typing import Annotated, Any, Union

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from pydantic import AliasChoices, AliasPath, BeforeValidator, Field, RootModel, create_model
from typing_extensions import TypedDict

from tests.property.payload_scalars import NUMBERS, ODD, SCALARS, TEXTS, Shape, Values, mostly, some

KEYS = some("a", "b", "1", "01", " 1")


def objects(values: Values) -> Values:
    return st.dictionaries(KEYS, values, max_size=3)


def _containers(inner: Shape) -> SearchStrategy[Shape]:
    one: Any = inner.annotation
    items = st.lists(inner.values, max_size=3)
    lists: list[Any] = [
        *(list[one], deque[one], Sequence[one], Iterable[one]),
        *(tuple[one, ...], tuple[one, one], tuple[int, one], list[one] | None),
        *(Annotated[list[one], bound] for bound in (Field(max_length=1), Field(min_length=1))),
        Annotated[list[one], BeforeValidator(lambda value: value if isinstance(value, list) else [value])],
    ]
    pairs: list[Any] = [
        *(dict[str, one], dict[int, one], Mapping[str, one], OrderedDict[str, one]),
        *(Annotated[dict[int, one], bound] for bound in (Field(max_length=1), Field(min_length=1))),
    ]
    return st.one_of(
        st.sampled_from(lists).map(lambda kind: Shape(kind, mostly(items))),
        st.sampled_from(pairs).map(lambda kind: Shape(kind, mostly(objects(inner.values)))),
        st.just(Shape(Union[one, None], st.one_of(st.none(), inner.values))),  # noqa: UP007 - `one` may be None
        st.just(Shape(Union[int, one], st.one_of(NUMBERS, inner.values))),  # noqa: UP007 - the same
        st.just(Shape(Counter[str], mostly(objects(NUMBERS)))),
        st.just(Shape(Annotated[set[str], Field(max_length=1)], mostly(st.lists(TEXTS, max_size=2)))),
        st.just(Shape(Annotated[frozenset[int], Field(min_length=1)], mostly(st.lists(NUMBERS, max_size=2)))),
    )


ALIASES: Mapping[str, tuple[Any, Sequence[str]]] = {
    "none": (None, ()),
    "one": ("alias", ("alias",)),
    "choices": (AliasChoices("alias", "other"), ("alias", "other")),
    "path": (AliasPath("alias", 0), ()),
    "key": (AliasPath("alias", "deep"), ()),
    "mixed": (AliasChoices("other", AliasPath("alias", "deep")), ("other",)),
    "shared": (AliasChoices("common", "name"), ("common", "name")),
}
CONFIGS: dict[str, SearchStrategy[Any]] = {
    "extra": st.sampled_from(["allow", "ignore", "forbid"]),
    "validate_by_name": st.booleans(),
    "strict": st.sampled_from([False, False, False, True]),
    "str_strip_whitespace": st.booleans(),
    "str_to_lower": st.booleans(),
    "coerce_numbers_to_str": st.booleans(),
    "regex_engine": st.sampled_from(["rust-regex", "python-re"]),
    "val_json_bytes": st.sampled_from(["utf8", "base64"]),
}
configs = st.fixed_dictionaries({}, optional=CONFIGS)


@st.composite
def _models(draw: DrawFn, inner: SearchStrategy[Shape]) -> Shape:
    """A model, a dataclass or a TypedDict of a few fields, each with a name or several."""
    config = draw(configs)
    sort = draw(st.sampled_from(["model", "model", "model", "dataclass", "typed dict"]))
    fields: dict[str, tuple[Any, bool]] = {}
    sent: list[Values] = []
    for number in range(draw(st.integers(1, 3))):
        name, shape = f"field{number}", draw(inner)
        alias, keys = ALIASES[draw(st.sampled_from(sorted(ALIASES)))]
        required = draw(st.booleans())
        fields[name] = (
            Annotated[shape.annotation, Field(validation_alias=_numbered(alias, number))],
            required,
        )
        places: list[Values] = [st.just({})] * (not required)
        if alias is None or config.get("validate_by_name"):
            places.append(_at(shape.values, name))
        places += [_at(shape.values, key if key == "common" else f"{key}{number}") for key in keys]
        if isinstance(alias, AliasPath):
            deep = st.tuples(shape.values) if alias.path[1] == 0 else _at(shape.values, "deep")
            places.append(_at(deep, f"alias{number}"))
        sent += [st.one_of(places), *draw(st.sampled_from([[], [], [], places]))]
    if draw(st.booleans()) and config.get("extra") != "forbid":
        sent.append(_at(ODD, "unknown"))
    return Shape(_made(sort, config, fields), mostly(st.tuples(*sent).map(_merged)))


def _at(values: Values, key: str) -> Values:
    return values.map(lambda value: {key: value})


def _merged(objects: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    return {key: value for some in objects for key, value in some.items()}


def _numbered(alias: Any, number: int) -> Any:
    """The same alias for one of several fields; "common" stays common to them."""
    if isinstance(alias, str):
        return alias if alias == "common" else f"{alias}{number}"
    if isinstance(alias, AliasPath):
        return AliasPath(f"{alias.path[0]}{number}", *alias.path[1:])
    return alias and AliasChoices(*(_numbered(choice, number) for choice in alias.choices))


def _made(sort: str, config: Any, fields: Mapping[str, tuple[Any, bool]]) -> Any:
    """The class of these fields: the type of each, and whether it must be there."""
    if sort == "model":
        given: Any = {name: (kind, ... if required else None) for name, (kind, required) in fields.items()}
        return create_model("Made", __config__=config, **given)
    kinds: Any = {name: kind for name, (kind, _) in fields.items()}
    made: Any
    if sort == "typed dict":
        make: Any = TypedDict
        made = make("Made", kinds, total=all(required for _, required in fields.values()))
    else:
        must, may = field(), field(default=None)
        whole = [(name, kind, must if fields[name][1] else may) for name, kind in kinds.items()]
        made = make_dataclass("Made", whole, kw_only=True)
    made.__pydantic_config__ = config
    return made


def _roots(inner: Shape) -> Shape:
    return Shape(RootModel[inner.annotation], inner.values)  # type: ignore[name-defined]


scalars = st.sampled_from(SCALARS)
shapes: SearchStrategy[Shape] = st.recursive(
    scalars,
    lambda inner: st.one_of(inner.flatmap(_containers), _models(inner), inner.map(_roots)),
    max_leaves=6,
)
payload_types = _models(shapes)


def as_json(value: Any) -> bytes:
    """What a client would send."""
    return json.dumps(value).encode()
