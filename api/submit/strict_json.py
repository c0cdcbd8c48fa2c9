"""JSON from strangers, decoded so that no value is altered: one parse, one walk. Knows nothing of HTTP or of tasks.

Python's own decoder makes NaN, infinities, lone surrogates and the last of two equal keys out of a body without a
word; here each of them is named, with its place.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from sluice.api.problems.errors import MOST_FLAWS, NotJson, Unsound
from sluice.core.errors import Flaw
from sluice.core.task import MAX_NESTING

_FITS_64_BITS = range(-(2**63), 2**64)
_DIGITS_OF_64_BITS = 20
_ONLY_WHOLE = 2.0**53
"""From here on a double has no place for a fraction, nor for every integer."""
_PLAIN = frozenset({int, float, bool, type(None)})
_NOT_ZERO = re.compile(r"[1-9]")


class _Mark:
    """Stands in the decoded value for something refused, until the walk knows its place."""

    __slots__ = ("detail",)

    def __init__(self, detail: str) -> None:
        self.detail = detail


def decode(body: bytes | bytearray, *, around: int = 0) -> Any:  # noqa: ANN401 - whatever JSON holds
    """The value that `body` says. At most MAX_NESTING containers lie in each other, `around` more for the envelope.

    Raises NotJson, and Unsound for: deeper nesting, integers beyond 64 bits, numbers too large or too small for a
    double, whole ones that it would round, NUL or a lone surrogate in a string or a key, a key said twice. A fraction
    becomes the nearest double, and the integer -0 is 0.
    """
    try:
        value = _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise NotJson(f"the body is not UTF-8: byte {error.start} does not fit") from None
    except json.JSONDecodeError as error:
        raise NotJson(
            f"the body is not JSON: {error.msg} at line {error.lineno} column {error.colno}"
        ) from None
    except RecursionError:
        raise Unsound([_too_deep(())]) from None
    flaws: list[Flaw] = []
    _walk(value, [], MAX_NESTING + around, flaws)
    if flaws:
        raise Unsound(flaws)
    return value


def _walk(value: Any, path: list[str | int], deepest: int, flaws: list[Flaw]) -> None:  # noqa: ANN401
    """Collect what is wrong in `value`, which lies at `path`."""
    kind = type(value)
    if kind is str:
        if wrong := _wrong_text(value):
            _note(flaws, path, f"the string holds {wrong}")
    elif kind is dict or kind is list:
        if len(path) >= deepest:
            flaws.append(_too_deep(tuple(path)))
            return
        if kind is dict:
            wrong = next(filter(None, map(_wrong_text, value)), None)
            if wrong:
                _note(flaws, path, f"a key holds {wrong}")
                return  # no pointer could show a place below such a key
        _walk_parts(value.items() if kind is dict else enumerate(value), path, deepest, flaws)
    elif kind is _Mark:
        _note(flaws, path, value.detail)


def _walk_parts(
    parts: Iterable[tuple[str | int, Any]], path: list[str | int], deepest: int, flaws: list[Flaw]
) -> None:
    shallow = len(path) + 1 < deepest
    for step, item in parts:
        if type(item) in _PLAIN or (shallow and not item):
            continue  # most of what a body holds
        path.append(step)
        _walk(item, path, deepest, flaws)
        path.pop()
        if len(flaws) >= MOST_FLAWS:
            return


def _wrong_text(text: str) -> str | None:
    if "\0" in text:
        return "NUL (U+0000), which PostgreSQL cannot store"
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            return "a lone surrogate, which is no character"
    return None


def _note(flaws: list[Flaw], path: list[str | int], detail: str) -> None:
    flaws.append(Flaw(tuple(path), detail))


def _too_deep(path: tuple[str | int, ...]) -> Flaw:
    return Flaw(path, f"nested deeper than {MAX_NESTING} levels")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Mark:
    found = dict(pairs)
    if len(found) < len(pairs):
        return _Mark("a key is there more than once")
    return found


def _integer(text: str) -> int | _Mark:
    # Looked at before int(), which refuses some thousand digits and is slow on fewer.
    if len(text) <= _DIGITS_OF_64_BITS + 1 and (number := int(text)) in _FITS_64_BITS:
        return number
    return _Mark("the integer does not fit 64 bits")


def _float(text: str) -> float | _Mark:
    number = float(text)
    if math.isinf(number):
        return _Mark("the number is too large for a double")
    if number == 0 and _NOT_ZERO.search(re.split("[eE]", text)[0]):
        return _Mark("the number is too small for a double")
    if abs(number) >= _ONLY_WHOLE and Decimal(text) != Decimal(repr(number)):
        return _Mark("the number has more digits than a double")
    return number


def _constant(text: str) -> None:
    raise NotJson(f"the body is not JSON: {text} is not part of it")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
