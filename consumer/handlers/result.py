"""What a handler returned, as JSON text that can be stored and read back unaltered."""

from __future__ import annotations

import math
import re
from collections import deque
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import BaseModel

from sluice.core.task import MAX_NESTING, MAX_RESULT_BYTES, JsonText

if TYPE_CHECKING:
    from collections.abc import Iterable

_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class UnstorableResult(Exception):
    """The handler returned something that cannot be the task's result."""


def encode(result: Any) -> JsonText | None:  # noqa: ANN401 - whatever a handler returns
    """The JSON of `result`, None for None.

    Takes what orjson takes (dict with string keys, list, str, int of 64 bits, float, bool, dataclass, datetime, UUID,
    enum) and pydantic models. Raises UnstorableResult for everything else, and for NaN, infinities, NUL, lone
    surrogates, more than MAX_NESTING levels or more than MAX_RESULT_BYTES.
    """
    if result is None:
        return None
    try:
        encoded = orjson.dumps(result, default=_model)
    except (TypeError, ValueError, RecursionError) as error:
        raise UnstorableResult(f"the result is not JSON: {error}") from error
    if len(encoded) > MAX_RESULT_BYTES:
        raise UnstorableResult(f"the result is larger than {MAX_RESULT_BYTES} bytes of JSON")
    if b"\\u0000" in encoded and _ESCAPED_NUL.search(encoded):
        raise UnstorableResult("the result holds a NUL character")
    if b"null" in encoded and not _finite(result):
        raise UnstorableResult("the result holds NaN or an infinity, which JSON cannot say")
    if (
        encoded.count(b"[") + encoded.count(b"{") > MAX_NESTING
        and _depth(orjson.loads(encoded)) > MAX_NESTING
    ):
        raise UnstorableResult(f"the result is nested more than {MAX_NESTING} levels deep")
    return JsonText(encoded.decode())


def _model(value: Any) -> Any:  # noqa: ANN401 - orjson's hook
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} cannot be JSON")


def _finite(value: Any) -> bool:  # noqa: ANN401 - any value that orjson took
    """Whether no float in it is NaN or infinite: orjson and pydantic write null for those without a word."""
    if isinstance(value, float):
        return math.isfinite(value)
    return all(map(_finite, _parts(value)))


def _parts(value: Any) -> Iterable[Any]:  # noqa: ANN401 - any value that orjson took
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, list | tuple | set | frozenset | deque):
        return value
    if isinstance(value, BaseModel):
        return (value.model_dump(),)  # not mode="json": it may have made the null itself
    if isinstance(value, Enum):
        return (value.value,)
    if is_dataclass(value):
        attributes = {field.name: getattr(value, field.name, None) for field in fields(value)}
        attributes |= getattr(value, "__dict__", {})
        return [part for name, part in attributes.items() if not name.startswith("_")]
    return ()


def _depth(value: Any) -> int:  # noqa: ANN401 - any JSON value
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if children is None else 1 + max(map(_depth, children), default=0)
