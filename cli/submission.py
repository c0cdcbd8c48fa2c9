"""The options of `sluice submit` as the JSON text of one task. Sends nothing; the API judges the values."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from typer import BadParameter

_BATCH_TASKS = 1000
"""Tasks in one request: its share of a request's fixed cost is lost already, and a bar still moves."""

_BATCH_BYTES = 8 << 20
"""Half of what the API takes in one body unless MAX_BODY_BYTES says otherwise."""

_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One task to submit, `count` times. What is None is left to the handler's setting or the API's default.

    `payload` is JSON text, and sent as it stands: decoding it would drop a key that is there twice and round numbers.
    """

    message: str | None
    kind: str | None
    payload: str | None
    queue: str | None
    priority: int | None
    delay: float | None
    run_at: str | None
    max_attempts: int | None
    timeout: float | None
    count: int

    def text(self) -> str:
        """The body of POST /tasks. ASCII: whatever is no character travels as an escape, and the API refuses it."""
        fields = {
            "message": self.message,
            "kind": self.kind,
            "queue": self.queue,
            "priority": self.priority,
            "delay": self.delay,
            "run_at": self.run_at,
            "max_attempts": self.max_attempts,
            "timeout": self.timeout,
        }
        texts = [
            f'"{name}": {json.dumps(value, allow_nan=False)}'
            for name, value in fields.items()
            if value is not None
        ]
        if self.payload is not None:
            texts.append(f'"payload": {_NOT_ASCII.sub(_escape, self.payload)}')
        return f"{{{', '.join(texts)}}}"

    def batches(self) -> Iterator[int]:
        """How many copies go into each request."""
        size = max(1, min(_BATCH_TASKS, _BATCH_BYTES // len(self.text())))
        for start in range(0, self.count, size):
            yield min(size, self.count - start)


def read_payload(source: str) -> str:
    """The text of the object that `--payload` names: JSON text, `@file`, or `-` for stdin.

    Raises BadParameter (wrong usage).
    """
    try:
        text = _read(source)
        payload = json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise BadParameter(f"it is not JSON: {error}", param_hint="--payload") from error
    if not isinstance(payload, dict):
        raise BadParameter('it must be a JSON object such as {"a": 1}', param_hint="--payload")
    return text


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _escape(character: re.Match[str]) -> str:
    """As JSON writes it in a string: it stands in no other place."""
    return json.dumps(character[0])[1:-1]


def _read(source: str) -> str:
    try:
        if source == "-":
            return sys.stdin.read()
        return Path(source[1:]).read_text(encoding="utf-8") if source.startswith("@") else source
    except OSError as error:
        raise BadParameter(f"cannot read {source[1:]}: {error.strerror}", param_hint="--payload") from error
