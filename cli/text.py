"""Task data as text that cannot drive a terminal. Prints nothing.

Messages, errors and results come from whoever may submit a task. An escape sequence among them must be seen, not
obeyed; so must a character that hides or reverses the text around it.
"""

from __future__ import annotations

import json
import re
from typing import Any

_UNSAFE = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # control characters, both sets
    "\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # invisible, or reordering
    "\ud800-\udfff"  # lone surrogates: no encoding has them
    "\U000e0000-\U000e007f"  # tags, invisible
    "]"
)
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def printable(text: str) -> str:
    """`text` on one line, each unsafe character as its escape."""
    return _UNSAFE.sub(lambda match: _SHORT.get(match[0]) or _escape(match[0]), text)


def to_json(value: Any, *, indent: int | None = None) -> str:  # noqa: ANN401 - any JSON value
    """`value` as JSON that is safe on a terminal and means the same to a program: unsafe characters are escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _UNSAFE.sub(lambda match: match[0] if match[0] == "\n" else _json_escape(match[0]), text)


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escape(character: str) -> str:
    return json.dumps(character)[1:-1] if ord(character) != 0x7F else "\\u007f"
