"""No input makes a 500 and none is altered silently: every trap with the answer it gets."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from sluice.api.schemas.submission import Batch, Submission
from tests.api.support import JSON, PROBLEM

NESTED = '{"a":' * 300 + "1" + "}" * 300

NOT_JSON: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"message=Hello",
    "half": b'{"message": "x"',
    "two values": b'{"message": "x"} {}',
    "NaN": b'{"message": "x", "delay": NaN}',
    "NaN in a payload": b'{"message": "x", "payload": {"a": [NaN]}}',
    "Infinity": b'{"message": "x", "payload": {"a": Infinity}}',
    "-Infinity": b'{"message": "x", "delay": -Infinity}',
    "no UTF-8": b'{"message": "\xff\xfe"}',
    "a surrogate in UTF-8": b'{"message": "\xed\xa0\x80"}',
    "UTF-16": '{"message": "x"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"message": "x"}',
    "a raw NUL": b'{"message": "a\x00b"}',
    "single quotes": b"{'message': 'x'}",
    "a comment": b'{"message": "x" /* why */}',
    "a trailing comma": b'{"message": "x",}',
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
}


@pytest.mark.parametrize("name", NOT_JSON)
async def test_what_is_not_json_gets_400(shared: httpx2.AsyncClient, name: str) -> None:
    response = await shared.post("/tasks", content=NOT_JSON[name], headers=JSON)

    assert response.status_code == 400, response.text
    assert response.headers["content-type"] == PROBLEM
    assert set(response.json()) == {"type", "title", "status", "detail"}


def task(text: str) -> str:
    """A body with a message and these fields."""
    return f'{{"message": "x", {text}}}'


REFUSED: dict[str, tuple[str, str]] = {
    "null": ("null", ""),
    "a list": ("[]", ""),
    "a number": ("1", ""),
    "a string": ('"message"', ""),
    "no field": ("{}", "/message"),
    "only a payload": ('{"payload": {}}', "/message"),
    "an unknown field": (task('"colour": "blue"'), "/colour"),
    "an id of one's own": (task('"id": "019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071"'), "/id"),
    "a status": (task('"status": "completed"'), "/status"),
    "an unknown field with a surrogate": (task('"a": "\\ud800"'), "/a"),
    "a surrogate as an unknown field": (task('"\\ud800": 1'), ""),
    "a surrogate as a key above NUL": (task('"payload": {"\\ud800": {"a": "\\u0000"}}'), "/payload"),
    "NUL as an unknown field": (task('"a\\u0000": 1'), ""),
    "a message of a number": ('{"message": 1}', "/message"),
    "a message of null": ('{"message": null}', "/message"),
    "a message of null with a kind": ('{"message": null, "kind": "echo"}', "/message"),
    "a message of a list": ('{"message": ["x"]}', "/message"),
    "a message of true": ('{"message": true}', "/message"),
    "NUL in the message": ('{"message": "a\\u0000b"}', "/message"),
    "a lone surrogate in the message": ('{"message": "\\ud83d"}', "/message"),
    "surrogates in the wrong order": ('{"message": "\\ude00\\ud83d"}', "/message"),
    "a message over 64 KiB": (json.dumps({"message": "x" * 65_537}), "/message"),
    "a message over 64 KiB in UTF-8": (json.dumps({"message": "é" * 32_769}), "/message"),
    "an empty kind": (task('"kind": ""'), "/kind"),
    "a kind with a space": (task('"kind": "a b"'), "/kind"),
    "a kind with a line feed": (task('"kind": "echo\\n"'), "/kind"),
    "a kind of 129": (task(f'"kind": "{"k" * 129}"'), "/kind"),
    "a kind beyond ASCII": (task('"kind": "é"'), "/kind"),
    "a kind of digits beyond ASCII": (task('"kind": "٣"'), "/kind"),
    "a kind of null": (task('"kind": null'), "/kind"),
    "a kind with a slash": (task('"kind": "a/b"'), "/kind"),
    "an empty queue": (task('"queue": ""'), "/queue"),
    "a queue with a colon": (task('"queue": "a:b"'), "/queue"),
    "a queue of 65": (task(f'"queue": "{"q" * 65}"'), "/queue"),
    "a queue of null": (task('"queue": null'), "/queue"),
    "a payload of a list": (task('"payload": []'), "/payload"),
    "a payload of null": (task('"payload": null'), "/payload"),
    "a payload of text": (task('"payload": "{}"'), "/payload"),
    "nesting of 65": (task('"payload": ' + '{"a":' * 65 + "1" + "}" * 65), "/payload" + "/a" * 64),
    "nesting of 65 lists": (task('"payload": {"l": ' + "[" * 64 + "]" * 64 + "}"), "/payload/l" + "/0" * 63),
    "nesting of 300": (task(f'"payload": {NESTED}'), "/payload" + "/a" * 64),
    "nesting of 100,000": (task('"payload": ' + '{"a":' * 100_000 + "1" + "}" * 100_000), ""),
    "nesting in an unknown field": (task(f'"other": {NESTED}'), "/other" + "/a" * 64),
    "2^64": (task('"payload": {"n": 18446744073709551616}'), "/payload/n"),
    "-2^63-1": (task('"payload": {"n": [-9223372036854775809]}'), "/payload/n/0"),
    "5,000 digits": (task(f'"payload": {{"n": {"9" * 5000}}}'), "/payload/n"),
    "5,000 digits for a priority": (task(f'"priority": {"9" * 5000}'), "/priority"),
    "a number too small": (task('"payload": {"n": 1e-400}'), "/payload/n"),
    "a number too large": (task('"payload": {"n": 1e400}'), "/payload/n"),
    "a delay too large": (task('"delay": 1e400'), "/delay"),
    "2^53+1 as a double": (task('"payload": {"n": 9007199254740993.0}'), "/payload/n"),
    "NUL in a payload": (task('"payload": {"n": ["\\u0000"]}'), "/payload/n/0"),
    "NUL in a key": (task('"payload": {"n": {"\\u0000": 1}}'), "/payload/n"),
    "a lone surrogate in a payload": (task('"payload": {"n": "\\udfff"}'), "/payload/n"),
    "a lone surrogate in a key": (task('"payload": {"n": {"\\ud800": 1}}'), "/payload/n"),
    "a key twice": ('{"message": "x", "message": "y"}', ""),
    "a key twice in a payload": (task('"payload": {"n": {"a": 1, "a": 1}}'), "/payload/n"),
    "a priority of -1": (task('"priority": -1'), "/priority"),
    "a priority of 10": (task('"priority": 10'), "/priority"),
    "a priority of 5.5": (task('"priority": 5.5'), "/priority"),
    "a priority of text": (task('"priority": "5"'), "/priority"),
    "a priority of true": (task('"priority": true'), "/priority"),
    "a priority of null": (task('"priority": null'), "/priority"),
    "a priority of 2^63": (task('"priority": 9223372036854775808'), "/priority"),
    "a delay of -1": (task('"delay": -1'), "/delay"),
    "a delay of 1e300": (task('"delay": 1e300'), "/delay"),
    "a delay of text": (task('"delay": "1"'), "/delay"),
    "a delay of true": (task('"delay": true'), "/delay"),
    "a delay of null": (task('"delay": null'), "/delay"),
    "a delay of eleven years": (task(f'"delay": {11 * 366 * 86_400}'), "/delay"),
    "both run_at and delay": (task('"delay": 1, "run_at": "2026-12-24T18:00:00Z"'), "/delay"),
    "run_at without an offset": (task('"run_at": "2026-12-24T18:00:00"'), "/run_at"),
    "run_at of a number": (task('"run_at": 1766599200'), "/run_at"),
    "run_at of a date": (task('"run_at": "2026-12-24"'), "/run_at"),
    "run_at of null": (task('"run_at": null'), "/run_at"),
    "run_at at the end of time": (task('"run_at": "9999-12-31T23:59:59-14:00"'), "/run_at"),
    "run_at in year 9999": (task('"run_at": "9999-12-31T23:59:59+14:00"'), "/run_at"),
    "run_at in year 10000": (task('"run_at": "10000-01-01T00:00:00Z"'), "/run_at"),
    "run_at on 30 February": (task('"run_at": "2027-02-30T00:00:00Z"'), "/run_at"),
    "max_attempts of 0": (task('"max_attempts": 0'), "/max_attempts"),
    "max_attempts of 101": (task('"max_attempts": 101'), "/max_attempts"),
    "max_attempts of true": (task('"max_attempts": true'), "/max_attempts"),
    "max_attempts of null": (task('"max_attempts": null'), "/max_attempts"),
    "a timeout of 0": (task('"timeout": 0'), "/timeout"),
    "a timeout of 8 days": (task(f'"timeout": {8 * 86_400}'), "/timeout"),
    "a timeout of text": (task('"timeout": "30"'), "/timeout"),
    "a timeout of true": (task('"timeout": true'), "/timeout"),
    "a timeout of 1e308": (task('"timeout": 1e308'), "/timeout"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_not_valid_gets_422_with_its_pointer(shared: httpx2.AsyncClient, name: str) -> None:
    body, pointer = REFUSED[name]

    response = await shared.post("/tasks", content=body.encode(), headers=JSON)

    assert response.status_code == 422, response.text
    assert response.headers["content-type"] == PROBLEM
    problem = response.json()
    assert problem["status"] == 422
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert all(set(error) == {"pointer", "detail"} for error in problem["errors"])


@pytest.mark.parametrize("name", REFUSED)
async def test_a_batch_refuses_the_same_and_points_at_the_task(shared: httpx2.AsyncClient, name: str) -> None:
    body, pointer = REFUSED[name]

    response = await shared.post(
        "/tasks/batch", content=f'{{"tasks": [{{"message": "x"}}, {body}]}}'.encode(), headers=JSON
    )

    assert response.status_code == 422, response.text
    errors = response.json()["errors"]
    at = "" if name == "nesting of 100,000" else f"/tasks/1{pointer}"
    assert [error["pointer"] for error in errors] == [at]


async def test_several_flaws_are_told_at_once(shared: httpx2.AsyncClient) -> None:
    body = {"message": 1, "kind": "", "priority": 10, "colour": "blue"}

    errors = (await shared.post("/tasks", json=body)).json()["errors"]

    assert {error["pointer"] for error in errors} == {"/message", "/kind", "/priority", "/colour"}


SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    "fields",
    [
        {"message": [SECRET]},
        {"kind": f"{SECRET} "},
        {"queue": f"{SECRET}/"},
        {"payload": SECRET},
        {"priority": SECRET},
        {"run_at": SECRET},
        {"delay": SECRET},
        {"other": SECRET},
    ],
    ids=str,
)
async def test_an_answer_never_repeats_a_value(shared: httpx2.AsyncClient, fields: dict[str, Any]) -> None:
    response = await shared.post("/tasks", json={"message": "x", **fields})

    assert response.status_code == 422
    assert SECRET not in response.text


async def test_a_long_key_is_not_repeated_whole(shared: httpx2.AsyncClient) -> None:
    response = await shared.post("/tasks", json={"message": "x", "k" * 100_000: 1})

    assert response.status_code == 422
    assert len(response.content) < 1000


async def test_ten_thousand_flaws_get_a_short_answer(shared: httpx2.AsyncClient) -> None:
    response = await shared.post("/tasks/batch", json={"tasks": [{"message": 1, "kind": ""}] * 10_000})

    assert response.status_code == 422
    assert len(response.json()["errors"]) == 100


ONE_TASK = b'"tasks": [{"message": "x"}]'
KEYS = b", ".join(b'"k%d": 0' % number for number in range(1000))


@pytest.mark.parametrize(
    ("path", "body", "first"),
    [
        ("/tasks", b'{"message": "x", %s}' % KEYS, "/k0"),
        ("/tasks/batch", b"{%s, %s}" % (ONE_TASK, KEYS), "/k0"),
        ("/tasks/batch", b'{"tasks": [{"message": "x"}, {"message": "x", %s}]}' % KEYS, "/tasks/1/k0"),
    ],
    ids=["a task", "a batch", "a task of a batch"],
)
async def test_unknown_keys_without_end_are_refused_before_each_gets_its_own_error(
    shared: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, path: str, body: bytes, first: str
) -> None:
    for model in (Batch, Submission):
        monkeypatch.setattr(model, "model_validate", lambda *_: pytest.fail("pydantic saw all of them"))

    response = await shared.post(path, content=body, headers=JSON)

    assert response.status_code == 422
    problem = response.json()
    assert problem["type"] == "urn:sluice:problem:invalid"
    assert problem["errors"][0] == {"pointer": first, "detail": "Extra inputs are not permitted"}
    assert len(problem["errors"]) == 100
