"""The description of the API (OpenAPI 3.1), with what FastAPI cannot see: the bodies that routes read themselves."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from sluice.api.problems.errors import HeadTooLarge, NotHttp, TooSlow, Trailers
from sluice.api.problems.table import MEDIA_TYPE, TABLE, UNEXPECTED, URN
from sluice.api.schemas.problem import Problem
from sluice.api.schemas.submission import Batch, StatusChange, Submission
from sluice.api.schemas.task import TaskOut
from sluice.core.errors import Overloaded

DESCRIPTION = """\
A durable task service. A `201` means that the task is on disk: it will be run, whatever process or server dies, until
it completes, fails for good or is canceled.

Times are RFC 3339 in UTC, ids are UUIDv7. Unknown fields are refused, and no value is converted or altered. Every error
is a problem document (RFC 9457, `application/problem+json`); `errors` tells what is wrong and where.
"""
TAGS = [
    {"name": "tasks", "description": "Submit tasks and follow them."},
    {"name": "health", "description": "For dashboards, and for what restarts and routes."},
]
SERVER = {"description": "The server that sent this document."}
CONTACT = {"name": "Sluice contributors"}
LICENCE = {"name": "MIT", "url": "https://spdx.org/licenses/MIT.html"}
_REFERENCE = "#/components/schemas/{model}"


def describe(app: FastAPI) -> dict[str, Any]:
    """The whole document, made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            tags=TAGS,
            servers=[{**SERVER, "url": app.state.root_path or "/"}],
            contact=CONTACT,
            license_info=LICENCE,
        )
        document["security"] = []  # anonymous: who may reach the port may ask
        _, models = models_json_schema(
            [
                *((model, "validation") for model in (Submission, Batch, StatusChange)),
                # FastAPI knows this one, and leaves the nulls out of its example.
                *((model, "serialization") for model in (Problem, TaskOut)),
            ],
            ref_template=_REFERENCE,
        )
        schemas = document["components"]["schemas"]
        schemas.update(models["$defs"])
        document["components"]["schemas"] = dict(sorted(schemas.items()))
        app.openapi_schema = document
    return app.openapi_schema


_ANYWHERE = (NotHttp, Trailers, TooSlow, HeadTooLarge, Overloaded, Exception)
"""What may become of every request, whatever it asks for."""


def documented(*kinds: type[Exception]) -> dict[int | str, dict[str, Any]]:
    """The answers to these errors and to those of every request, for a route's `responses`."""
    described: dict[int | str, dict[str, Any]] = {}
    types = {
        problem.name: problem for problem in (TABLE.get(kind, UNEXPECTED) for kind in (*kinds, *_ANYWHERE))
    }
    for problem in types.values():
        answer = described.setdefault(
            problem.status,
            {
                "description": "",
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}},
            },
        )
        titles = [title for title in answer["description"].split(" · ") if title not in ("", problem.title)]
        answer["description"] = " · ".join((*titles, problem.title))
        answer["content"][MEDIA_TYPE]["examples"][problem.name] = {
            "value": {
                "type": URN + problem.name,
                "title": problem.title,
                "status": problem.status,
                "detail": "…",
            }
        }
        if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
            answer["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    return described
