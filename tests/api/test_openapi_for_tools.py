"""What linters and generators of clients ask of /openapi.json (Redocly's recommended rules, Spectral's `oas`).

The tools themselves are no part of the tests: what they ask is asked here in our words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from jsonschema_rs import validator_for

Json = dict[str, Any]
AMBIGUOUS = {"allOf", "anyOf", "oneOf", "not"}
"""Of an object with one of these generators make no type, or several."""


@pytest.fixture(scope="module")
async def document(shared: httpx2.AsyncClient) -> Json:
    found: Json = (await shared.get("/openapi.json")).json()
    return found


def operations(document: Json) -> Iterator[tuple[str, Json]]:
    for path, item in document["paths"].items():
        for operation in item.values():
            yield path, operation


def media_in(document: Json) -> Iterator[Json]:
    """Each body of a request and of an answer, by its media type: a schema, and examples beside it."""
    for found in objects_in(document["paths"]):
        if isinstance(content := found.get("content"), dict):
            yield from content.values()


def examples_of(media: Json) -> list[Any]:
    """The examples beside a schema, of which each has a name, or one has none."""
    named = [one["value"] for one in media.get("examples", {}).values()]
    return [*named, *([media["example"]] if "example" in media else [])]


def objects_in(value: Any) -> Iterator[Json]:
    """Each object at any depth."""
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects_in(part)


async def test_it_says_who_makes_it_under_what_licence_and_where_it_is_served(document: Json) -> None:
    info = document["info"]

    assert all(info[name] for name in ("title", "version", "description", "contact", "license"))
    assert info["license"]["url"].startswith("https://")
    assert [server["url"] for server in document["servers"]] == ["/"]
    assert document["security"] == []


async def test_every_operation_can_be_named_and_filed(document: Json) -> None:
    found = [operation for _, operation in operations(document)]
    tags = {tag["name"]: tag for tag in document["tags"]}

    assert len({operation["operationId"] for operation in found}) == len(found)
    assert all(tags[tag]["description"] for operation in found for tag in operation["tags"])
    for operation in found:
        assert operation["summary"]
        assert {status[0] for status in operation["responses"]} >= {"2", "4"}


async def test_every_parameter_of_a_path_is_described(document: Json) -> None:
    for path, operation in operations(document):
        described = [one for one in operation.get("parameters", []) if one["in"] == "path"]

        assert not path.endswith("/")
        assert {one["name"] for one in described} == set(re.findall(r"{(\w+)}", path))
        assert all(one["description"] for one in operation.get("parameters", []))


async def test_every_required_property_is_defined_beside(document: Json) -> None:
    for schema in objects_in(document["components"]["schemas"]):
        if isinstance(required := schema.get("required"), list):
            assert set(required) <= set(schema["properties"])


async def test_every_schema_is_one_object_with_its_properties(document: Json) -> None:
    for name, schema in document["components"]["schemas"].items():
        if "enum" not in schema:
            assert schema["type"] == "object", name
            assert schema["properties"], name
        assert AMBIGUOUS.isdisjoint(schema), name


async def test_every_schema_is_used(document: Json) -> None:
    used = {schema["$ref"] for schema in objects_in(document) if isinstance(schema.get("$ref"), str)}

    assert used == {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}


async def test_every_example_of_a_body_fits_its_schema(document: Json) -> None:
    """Of those inside of schemas tests/api/test_openapi.py asks the same."""
    found = [(media["schema"], example) for media in media_in(document) for example in examples_of(media)]

    assert len(found) > len(list(operations(document)))
    for schema, example in found:
        validator_for({**schema, "components": document["components"]}).validate(example)
