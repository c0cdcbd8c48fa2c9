"""Queries that are more than a route asks for: refused, for a filter that is not there would be one that is ignored."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sluice.api.problems.errors import InvalidParameters

if TYPE_CHECKING:
    from starlette.requests import Request

_UNKNOWN = "Extra inputs are not permitted"


def refuse_query(request: Request) -> None:
    """Raise InvalidParameters when there is any parameter: the route has none."""
    if request.scope["query_string"] and (given := dict.fromkeys(request.query_params)):
        raise InvalidParameters((name, _UNKNOWN) for name in given)


def refuse_repeated(request: Request) -> None:
    """Raise InvalidParameters when one is there more than once."""
    given = Counter(name for name, _ in request.query_params.multi_items())
    repeated = [name for name, times in given.items() if times > 1]
    if repeated:
        raise InvalidParameters((name, "It may be given only once") for name in repeated)
