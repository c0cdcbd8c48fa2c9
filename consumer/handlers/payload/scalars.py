"""What single values take from JSON, as a JSON schema; schema.py puts them together.

Bounds and patterns are kept where pydantic and the API's validator surely understand them alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

Core = Mapping[str, Any]
JsonSchema = Mapping[str, Any] | bool
ANYTHING, NOTHING = True, False

_ONLY_WHOLE = 2**53
"""From here on doubles round, and a bound may mean two things."""
_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_CHANGES = ("strip_whitespace", "to_lower", "to_upper")
_PLAIN = (str, int, type(None))
_NO_MEMBER = getattr(Enum._missing_, "__func__", None)

_ALIKE = re.compile(r"(?:[A-Za-z0-9_ :;,./#!=<>%@^$()|\[\]{}*+?-]|\\[-./+*?()\[\]{}|^$])*")
_UNLIKE = re.compile(r"\(\?(?!:)|\[\^?\]|\[[^\]]*\[|--|[*+?}]\+")
"""Classes as \\d mean other characters here and there; sets of classes and possessive repeats mean something else."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What pydantic's configuration says of the values in a model."""

    strict: bool = False
    changes_text: bool = False
    numbers_as_text: bool = False
    rust_patterns: bool = True
    by_alias: bool = True
    by_name: bool = False
    extra: str = "ignore"


UNKNOWN = Settings(changes_text=True, numbers_as_text=True, rust_patterns=False)
"""Takes the most."""


def settings_of(core: Core) -> Settings:
    """What holds within a model, dataclass or TypedDict. Those around it have no say: so pydantic does it."""
    config: Core = core.get("config") or {}
    return Settings(
        strict=config.get("strict") is True,
        changes_text=any(config.get(f"str_{change}") for change in _CHANGES),
        numbers_as_text=bool(config.get("coerce_numbers_to_str")),
        rust_patterns=config.get("regex_engine", "rust-regex") == "rust-regex",
        by_alias=config.get("validate_by_alias") is not False,
        by_name=config.get("validate_by_name") is True,
        extra=config.get("extra_fields_behavior") or "ignore",
    )


def unless(taken: JsonSchema, otherwise: JsonSchema) -> JsonSchema:
    """What fits either. Unlike anyOf it tells those that fit neither what `otherwise` asks for."""
    if otherwise is ANYTHING:
        return ANYTHING
    return taken if otherwise is NOTHING else {"if": taken, "else": otherwise}


def equal_to(values: Iterable[object]) -> list[object] | None:
    """The JSON that Python finds equal to one of `values`: True is 1. None when that cannot be said."""
    found: list[object] = []
    for value in values:
        plain = value.value if isinstance(value, Enum) else value
        if not isinstance(plain, _PLAIN) or (isinstance(plain, int) and not _is_exact(plain)):
            return None
        found.append(str(plain) if isinstance(plain, str) else plain)
        if plain in (0, 1):
            found.append(int(plain) if plain is True or plain is False else bool(plain))
    return found


def _is_strict(core: Core, settings: Settings) -> bool:
    strict = core.get("strict")
    return settings.strict if strict is None else bool(strict)


def _bounds(core: Core) -> dict[str, Any]:
    given = ((keyword, core.get(name)) for name, keyword in _BOUNDS.items())
    return {keyword: bound for keyword, bound in given if isinstance(bound, int | float) and _is_exact(bound)}


def _is_exact(number: float) -> bool:
    return abs(number) < _ONLY_WHOLE


def _any_case(*words: str) -> str:
    letters = ("".join(f"[{one.lower()}{one.upper()}]" for one in word) for word in words)
    return f"(?:{'|'.join(letters)})"


_DIGITS = "^[^A-Za-z]*[0-9][^A-Za-z]*$"
_NOT_FINITE = f"^[^A-Za-z]*{_any_case('inf', 'infinity', 'nan')}[^A-Za-z]*$"
_DIGITS_OR_NOT_FINITE = f"^[^A-DF-Za-df-z]*[0-9][^A-DF-Za-df-z]*$|{_NOT_FINITE}"
_DECIMAL = f"[0-9]|[^ -~]|{_NOT_FINITE}"  # Decimal knows the digits of every script
_YES_OR_NO = f"^(?:{_any_case('on', 'off', 't', 'f', 'true', 'false', 'y', 'n', 'yes', 'no')}|[01])$"
_WHOLE = {"type": ["boolean", "string"], "pattern": _DIGITS}
_NUMBER = {"type": ["boolean", "string"], "pattern": _DIGITS_OR_NOT_FINITE}


def _bool(core: Core, settings: Settings) -> JsonSchema:
    found = {"type": "boolean"}
    also = {"type": ["number", "string"], "minimum": 0, "maximum": 1, "pattern": _YES_OR_NO}
    return found if _is_strict(core, settings) else unless(also, found)


def _int(core: Core, settings: Settings) -> JsonSchema:
    found = {"type": "integer", **_bounds(core)}
    return found if _is_strict(core, settings) else unless(_WHOLE, found)


def _float(core: Core, settings: Settings) -> JsonSchema:
    found = {"type": "number", **_bounds(core)}
    return found if _is_strict(core, settings) else unless(_NUMBER, found)


def _decimal(_core: Core, _settings: Settings) -> JsonSchema:
    return unless({"type": "string", "pattern": _DECIMAL}, {"type": "number"})


def _str(core: Core, settings: Settings) -> JsonSchema:
    numbers = core.get("coerce_numbers_to_str", settings.numbers_as_text)
    found: dict[str, Any] = {"type": ["string", "number"] if numbers else "string"}
    if settings.changes_text or any(core.get(change) for change in _CHANGES):
        return found
    if core.get("min_length"):
        found["minLength"] = core["min_length"]
    if core.get("max_length") is not None:
        found["maxLength"] = core["max_length"]
    pattern = core.get("pattern")
    rust = core.get("regex_engine", "rust-regex") == "rust-regex" and settings.rust_patterns
    if rust and isinstance(pattern, str) and _ALIKE.fullmatch(pattern) and not _UNLIKE.search(pattern):
        found["pattern"] = pattern
    return found


def _literal(core: Core, _settings: Settings) -> JsonSchema:
    values = equal_to(core["expected"])
    return ANYTHING if values is None else {"enum": values}


def _enum(core: Core, settings: Settings) -> JsonSchema:
    """An enum. One of numbers takes them as text as well; one with a `_missing_` of its own takes what that likes."""
    missing = getattr(core["cls"]._missing_, "__func__", None)
    values = equal_to(core["members"])
    if missing is not _NO_MEMBER or values is None or settings.numbers_as_text:
        return ANYTHING
    if core.get("sub_type") in ("int", "float"):
        return unless({**_NUMBER, "type": "string"}, {"enum": values})
    return {"enum": values}


def _is(*types: str) -> Callable[[Core, Settings], JsonSchema]:
    found: JsonSchema = {"type": types[0] if len(types) == 1 else list(types)}
    return lambda _core, _settings: found


def _nothing(_core: Core, _settings: Settings) -> JsonSchema:
    return NOTHING


RULES: Mapping[str, Callable[[Core, Settings], JsonSchema]] = {
    "arguments": _is("array", "object"),
    "bool": _bool,
    "bytes": _is("string"),
    "call": _is("array", "object"),
    "callable": _nothing,
    "counter": _is("object"),
    "date": _is("string", "number"),
    "datetime": _is("string", "number"),
    "decimal": _decimal,
    "enum": _enum,
    "float": _float,
    "generator": _is("array", "object", "string"),
    "int": _int,
    "is-instance": _nothing,
    "is-subclass": _nothing,
    "json": _is("string"),
    "literal": _literal,
    "multi-host-url": _is("string"),
    "named-tuple": _is("array", "object"),
    "none": _is("null"),
    "str": _str,
    "time": _is("string", "number"),
    "timedelta": _is("string", "number"),
    "url": _is("string"),
    "uuid": _is("string"),
}
"""Whatever is not here nor among the rules of schema.py may be anything."""
