"""/docs: the API to read and to try out, with every asset from this process. Asks no other host for anything."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from fastapi import APIRouter
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    import os

    from starlette.types import Receive, Scope, Send

router = APIRouter(include_in_schema=False)

ASSETS = "/docs/assets"
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
# Its links are relative to itself, so that they hold behind a prefix that nobody has told us.
_PAGE = f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sluice API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href=".{ASSETS}/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src=".{ASSETS}/swagger-ui-bundle.js"></script>
<script src=".{ASSETS}/start.js"></script>
</body>
</html>
"""


class _Assets(StaticFiles):
    """Files, always whole: starlette answers a Range that it cannot serve in plain text."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
        await super().__call__({**scope, "headers": headers}, receive, send)

    def get_path(self, scope: Scope) -> str:
        name: str = scope["path_params"]["name"]
        return name

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Accept-Ranges"] = "none"
        return response


def assets() -> Route:
    """The files of the page. A route and no mount, so that other methods are answered as everywhere."""
    files_ = _Assets(directory=str(files("sluice.api") / "static"))
    return Route(f"{ASSETS}/{{name}}", files_, methods=["GET"], include_in_schema=False)


@router.get("/docs")
async def get_docs() -> Response:
    """The page."""
    return HTMLResponse(_PAGE, headers=_HEADERS)
