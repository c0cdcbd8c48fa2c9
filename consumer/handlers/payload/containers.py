"""What lists, dicts, unions, models and their like take from JSON, as a JSON schema made of that of their parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from sluice.consumer.handlers.payload.scalars import (
    ANYTHING,
    NOTHING,
    Core,
    JsonSchema,
    Settings,
    equal_to,
    settings_of,
)


class Parts(Protocol):
    """What is needed of the whole; schema.py has the contract."""

    def of(self, core: Core, settings: Settings) -> JsonSchema: ...

    def share(self, schema: JsonSchema) -> JsonSchema: ...

    def may_be_absent(self, core: Core) -> bool: ...


class _Field(NamedTuple):
    """`required`: it has no default."""

    name: str
    core: Core
    required: bool


class _Place(NamedTuple):
    """Where a field may be found: as the property `key`, or somewhere within it."""

    key: str
    within: bool


def array(core: Core, settings: Settings, parts: Parts) -> JsonSchema:
    """Return the schema of a list or a set. Of equal items a set counts one, so that it has no most."""
    found: dict[str, Any] = {"type": "array"}
    if "items_schema" in core:
        found["items"] = parts.of(core["items_schema"], settings)
    if core.get("min_length"):
        found["minItems"] = core["min_length"]
    if core["type"] == "list" and core.get("max_length") is not None:
        found["maxItems"] = core["max_length"]
    return found


def places(core: Core, settings: Settings, parts: Parts) -> JsonSchema:
    """Return the schema of a tuple, one item of which may repeat: the one at `variadic_item_index`."""
    items: Sequence[Core] = core["items_schema"]
    repeated = core.get("variadic_item_index")
    fixed = items[:repeated]
    found: dict[str, Any] = {"type": "array"}
    if fixed:
        found["prefixItems"] = [parts.of(item, settings) for item in fixed]
        found["minItems"] = sum(not parts.may_be_absent(item) for item in fixed)
    if repeated is None:
        found["maxItems"] = len(items)
    elif repeated == len(items) - 1:
        found["items"] = parts.of(items[repeated], settings)
    return found


def mapping(core: Core, settings: Settings, parts: Parts) -> JsonSchema:
    """Return the schema of a dict. Two keys of the JSON may become one, so that it has no most."""
    found: dict[str, Any] = {"type": "object"}
    if "values_schema" in core:
        found["additionalProperties"] = parts.of(core["values_schema"], settings)
    if core.get("min_length"):
        found["minProperties"] = core["min_length"]
    return found


def union(core: Core, settings: Settings, parts: Parts) -> JsonSchema:
    """Return the schema of a union, whose choices may have labels."""
    choices = (choice[0] if isinstance(choice, tuple) else choice for choice in core["choices"])
    return _any_of(choices, settings, parts)


def tagged_union(core: Core, settings: Settings, parts: Parts) -> JsonSchema:
    """Return the schema of a discriminated union: the choice of its tag, where that is plainly a property."""
    choices: Mapping[Any, Core] = core["choices"]
    tag = core["discriminator"]
    known = equal_to(choices)
    if not isinstance(tag, str) or known is None:
        return _any_of(choices.values(), settings, parts)

    def tagged(values: list[object] | None) -> dict[str, Any]:
        return {"type": "object", "properties": {tag: {"enum": values}}, "required": [tag]}

    found: JsonSchema = tagged(known)
    for value, choice in choices.items():
        found = {"if": tagged(equal_to([value])), "then": parts.of(choice, settings), "else": found}
    return found


def _any_of(choices: Iterable[Core], settings: Settings, parts: Parts) -> JsonSchema:
    found = [schema for choice in choices if (schema := parts.of(choice, settings)) is not NOTHING]
    if not found:
        return NOTHING
    if ANYTHING in found:
        return ANYTHING
    return {"anyOf": found} if len(found) > 1 else found[0]


def model_fields(core: Core, settings: Settings, parts: Parts) -> JsonSchema:
    """Return the schema of what is in a model."""
    fields: Mapping[str, Core] = core["fields"]
    required = {name: not parts.may_be_absent(field["schema"]) for name, field in fields.items()}
    return _object(core, [_Field(name, fields[name], required[name]) for name in fields], settings, parts)


def dataclass_args(core: Core, settings: Settings, parts: Parts) -> JsonSchema:
    """Return the schema of what is in a dataclass."""
    fields = [
        _Field(field["name"], field, _is_taken(field) and not parts.may_be_absent(field["schema"]))
        for field in core["fields"]
    ]
    return _object(core, fields, settings, parts)


def typed_dict(core: Core, _settings: Settings, parts: Parts) -> JsonSchema:
    """Return the schema of a TypedDict."""
    total = core.get("total", True)
    fields = [
        _Field(name, field, field.get("required", total) and not parts.may_be_absent(field["schema"]))
        for name, field in core["fields"].items()
    ]
    return _object(core, fields, settings_of(core), parts)


def _is_taken(field: Core) -> bool:
    """Whether a dataclass takes the field from whoever makes it."""
    return field.get("init", True) is not False


def _object(core: Core, fields: Iterable[_Field], settings: Settings, parts: Parts) -> JsonSchema:
    """An object with these fields, and with others as `core` allows."""
    properties: dict[str, JsonSchema] = {}
    required: list[str] = []
    conditions: list[JsonSchema] = []
    for field in fields:
        value = parts.of(field.core["schema"], settings) if _is_taken(field.core) else ANYTHING
        if value is NOTHING and field.required:
            return NOTHING
        first, *others = found_at = _places(field, settings)
        if others or first.within:
            properties.update(dict.fromkeys((place.key for place in found_at), ANYTHING))
            conditions += _one_of(found_at, value, parts, required=field.required)
        else:
            properties[first.key] = value
            required += [first.key] * field.required
    found: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        found["required"] = required
    if conditions:
        found["allOf"] = conditions
    extra = core.get("extra_behavior") or settings.extra
    if extra == "forbid":
        found["additionalProperties"] = NOTHING
    elif extra == "allow" and "extras_schema" in core:
        found["additionalProperties"] = parts.of(core["extras_schema"], settings)
    return found


def _places(field: _Field, settings: Settings) -> list[_Place]:
    """Where pydantic looks for a field, in its order."""
    alias = field.core.get("validation_alias")
    paths: list[Sequence[str | int]] = []
    if alias is not None and settings.by_alias:
        paths += [[alias]] if isinstance(alias, str) else alias if isinstance(alias[0], list) else [alias]
    if alias is None or settings.by_name:
        paths.append([field.name])
    return [_Place(str(path[0]), within=len(path) > 1) for path in paths]


def _one_of(
    found_at: Sequence[_Place], value: JsonSchema, parts: Parts, *, required: bool
) -> Iterable[JsonSchema]:
    """A field with several names: pydantic takes the first that is there, whatever the others are."""
    if any(place.within for place in found_at):
        if required:
            yield {"anyOf": [{"required": [place.key]} for place in found_at]}
        return
    value = parts.share(value)
    found: JsonSchema = {"required": [found_at[0].key]} if required else ANYTHING
    for place in reversed(found_at):
        found = {
            "if": {"required": [place.key]},
            "then": {"properties": {place.key: value}},
            "else": found,
        }
    yield found
