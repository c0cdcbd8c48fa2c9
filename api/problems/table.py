"""From errors to problem documents (RFC 9457): one table, which the handlers answer from and openapi.py describes.

No answer repeats a value that the client sent, nor says what only operators should know.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from sluice.api.problems.errors import (
    BodyTooLarge,
    HeadTooLarge,
    Invalid,
    InvalidParameters,
    MaybeAccepted,
    NotGzip,
    NotHttp,
    NotJson,
    NotJsonMedia,
    NotReady,
    PayloadsRefused,
    TooSlow,
    Trailers,
    UnknownEncoding,
    UnknownKinds,
    Unsound,
)
from sluice.api.problems.findings import Finding, in_body, in_parameters, nearest, of_kind, parameter_flaws
from sluice.core import errors

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1
URN = "urn:sluice:problem:"


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One type of problem. `detail`, `found` and `more` make of the error what a client is told beyond the title."""

    status: int
    name: str
    title: str
    detail: Callable[[Any], str] = str
    found: Callable[[Any], Sequence[Finding]] | None = None
    more: Callable[[Any], Mapping[str, Any]] | None = None


def _count(flaws: Sequence[object]) -> str:
    return "1 thing is wrong" if len(flaws) == 1 else f"{len(flaws)} things are wrong"


def _maybe(error: MaybeAccepted) -> Mapping[str, Any]:
    return {"id": error.ids[0]} if len(error.ids) == 1 else {"ids": error.ids}


_AWAY = "PostgreSQL does not answer"
_UNKNOWN = "No consumer has registered this kind"
_REFUSED = "The payload does not fit its kind"

TABLE: Mapping[type[Exception], ProblemType] = {
    NotJson: ProblemType(400, "not-json", "The body is not JSON"),
    ClientDisconnect: ProblemType(400, "incomplete", "The body is not complete", lambda _: "the client left"),
    NotHttp: ProblemType(400, "not-http", "The request is not HTTP", lambda _: "it cannot be parsed"),
    Trailers: ProblemType(
        400, "trailers", "The request has trailers", lambda _: "send its headers before its body"
    ),
    TooSlow: ProblemType(
        408, "too-slow", "The request took too long", lambda _: "nothing was done: send it again"
    ),
    HeadTooLarge: ProblemType(431, "head-too-large", "The headers are too large"),
    errors.TaskNotFound: ProblemType(
        404, "task-not-found", "There is no such task", lambda _: "it never was, or was pruned"
    ),
    errors.TransitionRefused: ProblemType(
        409,
        "status-conflict",
        "The task's status does not allow this",
        lambda error: f"the task is {error.status}: it cannot become {error.wanted}",
    ),
    BodyTooLarge: ProblemType(413, "body-too-large", "The body is too large"),
    NotGzip: ProblemType(
        400, "not-gzip", "The body is not gzip", lambda _: "it cannot be decoded, or breaks off"
    ),
    UnknownEncoding: ProblemType(415, "unknown-encoding", "The body's encoding is not known"),
    NotJsonMedia: ProblemType(415, "not-json-media", "The body must be application/json"),
    Unsound: ProblemType(
        422,
        "unsound",
        "The body holds values that cannot be kept as they are",
        lambda error: _count(error.flaws),
        lambda error: in_body(error.flaws),
    ),
    Invalid: ProblemType(
        422,
        "invalid",
        "The request is not valid",
        lambda error: _count(error.flaws),
        lambda error: in_body(error.flaws),
    ),
    InvalidParameters: ProblemType(
        422,
        "invalid",
        "The request is not valid",
        lambda error: _count(error.flaws),
        lambda error: in_parameters(error.flaws),
    ),
    RequestValidationError: ProblemType(
        422,
        "invalid",
        "The request is not valid",
        lambda error: _count(error.errors()),
        lambda error: in_parameters(parameter_flaws(error.errors())),
    ),
    errors.UnknownKind: ProblemType(
        422,
        "unknown-kind",
        _UNKNOWN,
        nearest,
        lambda error: in_body(of_kind(error)),
    ),
    errors.PayloadRefused: ProblemType(
        422,
        "payload-refused",
        _REFUSED,
        lambda error: _count(error.flaws),
        lambda error: in_body(of_kind(error)),
    ),
    UnknownKinds: ProblemType(
        422, "unknown-kind", _UNKNOWN, lambda error: _count(error.flaws), lambda error: in_body(error.flaws)
    ),
    PayloadsRefused: ProblemType(
        422,
        "payload-refused",
        _REFUSED,
        lambda error: _count(error.flaws),
        lambda error: in_body(error.flaws),
    ),
    errors.RowRefused: ProblemType(
        422, "row-refused", "PostgreSQL refuses the task", lambda _: "its values cannot be stored"
    ),
    MaybeAccepted: ProblemType(
        503,
        "maybe-accepted",
        _AWAY,
        lambda _: "the submission may have been accepted: look for the id before you send it again",
        more=_maybe,
    ),
    errors.OutcomeUnknown: ProblemType(
        503, "outcome-unknown", _AWAY, lambda _: "if it was to change something, look first whether it did"
    ),
    errors.Hindered: ProblemType(
        503,
        "held-up",
        "PostgreSQL gave the statement up",
        lambda _: "somebody holds what it needs locked, or its time was over; nothing was done: try again",
    ),
    errors.TakesNoWrites: ProblemType(
        503, "read-only", "PostgreSQL takes no writes", lambda _: "nothing was done: try again"
    ),
    errors.StoreUnavailable: ProblemType(503, "unavailable", _AWAY, lambda _: "nothing was done: try again"),
    NotReady: ProblemType(503, "not-ready", "Requests should go elsewhere for now"),
    errors.Overloaded: ProblemType(
        503, "overloaded", "More arrives than can be done", lambda _: "nothing was done: try again"
    ),
}
"""The most special class on an error's way to its base decides."""

_OF_HTTP: Mapping[int, ProblemType] = {
    404: ProblemType(404, "not-found", "There is nothing here", lambda _: "see /docs for what there is"),
    405: ProblemType(
        405, "method-not-allowed", "There is nothing here by this method", lambda _: "see the header Allow"
    ),
}
UNEXPECTED = ProblemType(
    500, "unexpected", "The service failed", lambda _: "this is a fault of the service; its log says more"
)


def problem_type(error: Exception) -> ProblemType:
    """What kind of problem `error` is; UNEXPECTED when the table does not know it."""
    for kind in type(error).__mro__:
        if kind in TABLE:
            return TABLE[kind]
    if isinstance(error, HTTPException):
        phrase = HTTPStatus(error.status_code).phrase
        return _OF_HTTP.get(error.status_code) or ProblemType(
            error.status_code, "http", phrase, lambda _: phrase
        )
    return UNEXPECTED


def respond(error: Exception, headers: Mapping[str, str] | None = None) -> Response:
    """The answer to a request that ended in `error`."""
    problem = problem_type(error)
    document: dict[str, Any] = {
        "type": URN + problem.name,
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail(error),
    }
    if problem.found is not None:
        document["errors"] = problem.found(error)
    if problem.more is not None:
        document.update(problem.more(error))
    return Response(
        orjson.dumps(document), problem.status, {**_headers(error), **(headers or {})}, media_type=MEDIA_TYPE
    )


def _headers(error: Exception) -> dict[str, str]:
    if isinstance(error, HTTPException):
        return dict(error.headers or {})
    if isinstance(error, errors.Overloaded):
        return {"Retry-After": str(math.ceil(error.retry_after.total_seconds()))}
    if isinstance(error, errors.StoreUnavailable | NotReady):
        return {"Retry-After": str(RETRY_AFTER_SECONDS)}
    if isinstance(error, UnknownEncoding):
        return {"Accept-Encoding": "gzip"}
    if isinstance(error, BodyTooLarge) and error.unread:
        return {"Connection": "close"}
    return {}
