"""A JSON schema of what a payload's type takes, made from the core schema by which pydantic validates.

Pydantic's own JSON schema describes what a well-behaved client sends, and is narrower than what validation takes: "7"
for an int, one of two names, whatever a `before` validator understands. This one refuses nothing that the type takes,
so whatever is not known here may be anything; the type itself has the last word. Validates nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sluice.consumer.handlers.payload import containers, scalars
from sluice.consumer.handlers.payload.scalars import ANYTHING, NOTHING, UNKNOWN, Core, JsonSchema, Settings

_PASS_DEFAULTS_ON = ("function-", "nullable", "custom-error")


def payload_schema(core: Core) -> Mapping[str, Any] | None:
    """Return a JSON schema (2020-12) that takes all JSON that `core` takes; None when there is no such JSON."""
    made = _Made()
    schema = made.of(core, UNKNOWN)
    if isinstance(schema, bool):
        return {} if schema is ANYTHING else None
    return {**schema, "$defs": made.shared} if made.shared else schema


class _Made:
    """One schema in the making. `shared` has the parts that it refers to."""

    def __init__(self) -> None:
        self.shared: dict[str, JsonSchema] = {}
        self._definitions: dict[str, Core] = {}
        self._references: dict[str, JsonSchema] = {}

    def of(self, core: Core, settings: Settings) -> JsonSchema:
        """Return what takes all that `core` takes."""
        kind = core["type"]
        if kind == "definitions":
            self._definitions.update((part["ref"], part) for part in core["definitions"])
            return self.of(core["schema"], settings)
        if kind == "definition-ref":
            return self._referred(core["schema_ref"])
        if rule := _RULES.get(kind):
            return rule(core, settings, self)
        if simple := scalars.RULES.get(kind):
            return simple(core, settings)
        return ANYTHING

    def share(self, schema: JsonSchema) -> JsonSchema:
        """Return a reference to `schema`, for one that stands in several places."""
        key = str(len(self.shared))
        self.shared[key] = schema
        return {"$ref": f"#/$defs/{key}"}

    def may_be_absent(self, core: Core) -> bool:
        """Return whether a default stands somewhere around what a field must be."""
        seen: set[str] = set()
        while core["type"] not in ("default", "missing-sentinel"):
            if core["type"] == "definition-ref":
                ref = core["schema_ref"]
                if ref in seen or ref not in self._definitions:
                    return False
                seen.add(ref)
                core = self._definitions[ref]
            elif core["type"].startswith(_PASS_DEFAULTS_ON) and "schema" in core:
                core = core["schema"]
            else:
                return False
        return True

    def _referred(self, ref: str) -> JsonSchema:
        """Return a reference to the part of this name, which may refer to itself."""
        if ref not in self._definitions:
            return ANYTHING
        if ref not in self._references:
            key = str(len(self.shared))
            self._references[ref] = self.share(ANYTHING)
            # Whose settings hold in it is not known here, unless it has its own.
            self.shared[key] = self.of(self._definitions[ref], UNKNOWN)
        return self._references[ref]


Rule = Callable[[Core, Settings, _Made], JsonSchema]


def _inner(name: str = "schema") -> Rule:
    """What takes no more than the part of this name."""
    return lambda core, settings, made: made.of(core[name], settings)


def _first_step(core: Core, settings: Settings, made: _Made) -> JsonSchema:
    return made.of(core["steps"][0], settings)


def _wrapped(core: Core, settings: Settings, made: _Made) -> JsonSchema:
    """A function around a type may take anything, unless it is pydantic's own around its URLs."""
    function = core["function"]["function"]
    is_url = getattr(function, "__module__", None) == "pydantic.networks"
    return made.of(core["schema"], settings) if is_url else ANYTHING


def _default(core: Core, settings: Settings, made: _Made) -> JsonSchema:
    """A default may also stand in for a value that does not fit."""
    return made.of(core["schema"], settings) if core.get("on_error", "raise") == "raise" else ANYTHING


def _perhaps_missing(core: Core, settings: Settings, made: _Made) -> JsonSchema:
    """A field's mark for "not sent"; no JSON says it."""
    return made.of(core["schema"], settings) if "schema" in core else NOTHING


def _nullable(core: Core, settings: Settings, made: _Made) -> JsonSchema:
    return scalars.unless({"type": "null"}, made.of(core["schema"], settings))


def _model(core: Core, _settings: Settings, made: _Made) -> JsonSchema:
    """A model with an `__init__` of its own may add what the payload lacks."""
    if core.get("custom_init"):
        return ANYTHING if core.get("root_model") else {"type": "object"}
    return made.of(core["schema"], scalars.settings_of(core))


def _dataclass(core: Core, _settings: Settings, made: _Made) -> JsonSchema:
    return made.of(core["schema"], scalars.settings_of(core))


_RULES: Mapping[str, Rule] = {
    "chain": _first_step,
    "custom-error": _inner(),
    "dataclass": _dataclass,
    "dataclass-args": containers.dataclass_args,
    "default": _default,
    "deque": containers.array,
    "dict": containers.mapping,
    "frozendict": containers.mapping,
    "frozenset": containers.array,
    "function-after": _inner(),
    "function-wrap": _wrapped,
    "json-or-python": _inner("json_schema"),
    "lax-or-strict": _inner("lax_schema"),
    "list": containers.array,
    "missing-sentinel": _perhaps_missing,
    "model": _model,
    "model-fields": containers.model_fields,
    "nullable": _nullable,
    "ordered-dict": containers.mapping,
    "set": containers.array,
    "tagged-union": containers.tagged_union,
    "tuple": containers.places,
    "typed-dict": containers.typed_dict,
    "union": containers.union,
}
"""`function-before` and `function-plain` are not among them: they take what they like."""
