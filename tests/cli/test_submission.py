from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from typer import BadParameter

from sluice.cli.submission import Submission, read_payload


def _submission(**fields: Any) -> Submission:
    nothing: dict[str, Any] = dict.fromkeys(
        ("message", "kind", "payload", "queue", "priority", "delay", "run_at", "max_attempts", "timeout")
    )
    return Submission(**{**nothing, "count": 1, **fields})


def test_options_that_were_not_given_are_not_sent() -> None:
    assert json.loads(_submission(message="Hello").text()) == {"message": "Hello"}
    assert json.loads(_submission(kind="sleep", payload="{}", priority=0, delay=0.0).text()) == {
        "kind": "sleep",
        "payload": {},
        "priority": 0,
        "delay": 0.0,
    }


def test_a_payload_is_sent_as_it_stands() -> None:
    payload = read_payload('{"a": 1,  "a": 2, "b": 1e-400, "c": 10000000000000000000001, "ü": "\U0001f30a"}')
    assert _submission(kind="x", payload=payload).text() == (
        '{"kind": "x", "payload": {"a": 1,  "a": 2, "b": 1e-400, "c": 10000000000000000000001, '
        '"\\u00fc": "\\ud83c\\udf0a"}}'
    )
    assert _submission(kind="x", payload=read_payload('{"a": "\udcff"}')).text().encode() == (
        b'{"kind": "x", "payload": {"a": "\\udcff"}}'
    )


def test_what_is_no_character_still_travels_for_the_api_to_judge() -> None:
    assert _submission(message="\udcff").text().encode() == b'{"message": "\\udcff"}'


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (1000, [1000]), (2500, [1000, 1000, 500])])
def test_copies_are_sent_a_thousand_at_a_time(count: int, sizes: list[int]) -> None:
    assert list(_submission(message="x", count=count).batches()) == sizes


def test_large_tasks_are_sent_in_smaller_batches() -> None:
    submission = _submission(payload=json.dumps({"blob": "x" * (1 << 20)}), count=20)
    sizes = list(submission.batches())
    assert sum(sizes) == 20
    assert max(sizes) * len(submission.text()) <= 8 << 20


def test_a_payload_is_text_a_file_or_stdin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "payload.json"
    file.write_text('{"ü": [1, 0.1]}', encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO('{"from": "stdin"}'))
    assert read_payload('{"a": 1}') == '{"a": 1}'
    assert read_payload(f"@{file}") == '{"ü": [1, 0.1]}'
    assert read_payload("-") == '{"from": "stdin"}'


@pytest.mark.parametrize(
    "source",
    [
        "{",
        "[1]",
        '"text"',
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1e}',
        "@/nowhere/payload.json",
        "@",
        "[" * 100_000,
    ],
)
def test_a_payload_that_is_no_json_object_is_wrong_usage(source: str) -> None:
    with pytest.raises(BadParameter):
        read_payload(source)


def test_a_file_that_is_not_utf8_is_wrong_usage(tmp_path: Path) -> None:
    file = tmp_path / "payload.json"
    file.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(BadParameter):
        read_payload(f"@{file}")
