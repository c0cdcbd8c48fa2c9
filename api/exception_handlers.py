"""Where errors leave the routes: each becomes its problem document; what the table does not know is logged too."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPMethod, HTTPStatus

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from sluice.api.problems.table import TABLE, respond
from sluice.api.routes.direct import LoneRoute


def install(app: FastAPI) -> None:
    """Answer every error of `app`. One that is not in the table is answered too, and raised again for the log."""
    for kind in (*TABLE, Exception):
        app.add_exception_handler(kind, _answer)
    app.add_exception_handler(HTTPException, _answer_http)


async def _answer(_request: Request, error: Exception) -> Response:
    return respond(error)


async def _answer_http(request: Request, error: Exception) -> Response:
    headers: Mapping[str, str] = {}
    refused = isinstance(error, HTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    if refused and not isinstance(request.scope.get("route"), LoneRoute):
        headers = {"Allow": ", ".join(_allowed(request))}
    return respond(error, headers)


def _allowed(request: Request) -> list[str]:
    """Every method that the path takes: the router itself names only those of the first route that it met."""
    methods = {
        method
        for method in HTTPMethod
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    }
    return sorted(methods | {HTTPMethod.HEAD} if HTTPMethod.GET in methods else methods)
