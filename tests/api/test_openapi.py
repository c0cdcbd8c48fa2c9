"""/openapi.json: complete, readable, and true."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from typing import Any

import httpx2
import pytest
from jsonschema_rs import validator_for

from sluice.api.problems.errors import MaybeAccepted
from sluice.api.problems.table import TABLE, UNEXPECTED, respond
from sluice.api.schemas.health import Health
from sluice.api.schemas.task import TaskOut
from sluice.core.ids import new_task_id
from sluice.core.task import Task

OPERATIONS = {
    "submit_task": ("post", "/tasks", {"201", "413", "415", "422", "503"}),
    "submit_batch": ("post", "/tasks/batch", {"201", "413", "415", "422", "503"}),
    "get_task": ("get", "/tasks/{task_id}", {"200", "404", "422", "503"}),
    "list_tasks": ("get", "/tasks", {"200", "422", "503"}),
    "change_status": ("patch", "/tasks/{task_id}", {"200", "404", "409", "413", "415", "422", "503"}),
    "get_health": ("get", "/health", {"200", "422", "503"}),
    "get_livez": ("get", "/livez", {"200", "503"}),
    "get_readyz": ("get", "/readyz", {"200", "503"}),
}
OF_EVERY_REQUEST = {"400", "408", "431", "500"}
OF_ROUTING = {"not-found", "method-not-allowed"}
"""Of no operation: what is asked for is none."""


@pytest.fixture(scope="module")
async def document(shared: httpx2.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await shared.get("/openapi.json")).json()
    return found


async def test_every_operation_is_there_with_every_answer(document: dict[str, Any]) -> None:
    found = {
        operation["operationId"]: (method, path, set(operation["responses"]) - OF_EVERY_REQUEST)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }

    assert document["openapi"].startswith("3.1")
    assert found == OPERATIONS
    for item in document["paths"].values():
        for operation in item.values():
            assert set(operation["responses"]) >= OF_EVERY_REQUEST


async def test_every_sort_of_problem_has_its_example(document: dict[str, Any]) -> None:
    answers = [
        answer
        for item in document["paths"].values()
        for operation in item.values()
        for answer in operation["responses"].values()
    ]
    shown = {
        name
        for answer in answers
        for media in answer["content"].values()
        for name in media.get("examples", ())
    }

    assert shown == {sort.name for sort in (*TABLE.values(), UNEXPECTED)} - OF_ROUTING
    for answer in answers:
        titles = answer["description"].split(" · ")
        assert len(titles) == len(set(titles))


async def test_a_problem_may_have_what_the_errors_send(document: dict[str, Any]) -> None:
    schema = document["components"]["schemas"]["Problem"]
    ids = [new_task_id(), new_task_id()]
    sent = [json.loads(bytes(respond(MaybeAccepted(some)).body)) for some in (ids, ids[:1])]

    assert {"id", "ids"} < {name for problem in sent for name in problem} <= set(schema["properties"])
    for problem in sent:
        validator_for({**schema, "components": document["components"]}).validate(problem)


async def test_every_operation_is_explained(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    for item in document["paths"].values():
        for operation in item.values():
            assert operation["description"]
            assert set(operation["tags"]) <= tags
            for status, answer in operation["responses"].items():
                assert answer["description"]
                expected = {"application/problem+json" if status >= "400" else "application/json"}
                if (operation["operationId"], status) == ("get_health", "503"):
                    expected |= {"application/json"}
                assert answer["content"].keys() == expected
                assert all(content["schema"] for content in answer["content"].values())


async def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = set(re.findall(r"'\$ref': '([^']+)'", str(document)))

    assert references
    assert {reference.rpartition("/")[2] for reference in references} <= set(
        document["components"]["schemas"]
    )


async def test_every_example_fits_its_schema(document: dict[str, Any]) -> None:
    for schema in document["components"]["schemas"].values():
        whole = {**schema, "components": document["components"]}
        for example in schema.get("examples", []):
            validator_for(whole).validate(example)
        for field in schema.get("properties", {}).values():
            for example in field.get("examples", []):
                validator_for({**field, "components": document["components"]}).validate(example)


async def test_the_schema_of_a_submission_says_what_the_api_takes(document: dict[str, Any]) -> None:
    schema = document["components"]["schemas"]["Submission"]
    fits = validator_for({**schema, "components": document["components"]}).is_valid

    assert fits({"message": "x"})
    assert fits({"kind": "x", "payload": {"a": 1}, "delay": 1.5})
    assert not fits({})
    assert not fits({"message": None})
    assert not fits({"message": "x", "run_at": "2026-12-24T18:00:00Z", "delay": 1})
    assert not fits({"message": "x", "other": 1})
    assert not fits({"message": "x", "priority": 10})

    assert not fits({"run_at": "2026-12-24T18:00:00Z"})


async def test_the_models_show_what_is_sent(shared: httpx2.AsyncClient) -> None:
    task = (await shared.post("/tasks", json={"message": "x"})).json()

    assert list(TaskOut.model_fields) == [field.name for field in fields(Task)] == list(task)
    TaskOut.model_validate(task)
    health = (await shared.get("/health")).json()
    assert list(Health.model_fields) == list(health)
    Health.model_validate(health)
