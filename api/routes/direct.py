"""A route for the hot path: FastAPI describes it, and calls it with the request and nothing in between."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Scope


class DirectRoute(APIRoute):
    """Its endpoint takes a Request and returns a Response: there are no parameters to solve and no model to write.

    What FastAPI does to find that out each time is a sixth of what a submission costs outside of the stores.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint itself."""
        handler: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return handler


class LoneRoute(DirectRoute):
    """All of its path's: what comes by another method is 405, and no later route takes the path for a parameter."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match by the path alone."""
        match, child = super().matches(scope)
        return (Match.FULL if match is Match.PARTIAL else match), child
