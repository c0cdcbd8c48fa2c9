"""A handler of tests in a consumer whose drain fails as nobody expects it to."""

from __future__ import annotations

from sluice.consumer.remains import Remains
from tests.support.handlers import thread

__all__ = ["thread"]


async def _fail(_: Remains) -> None:
    raise ZeroDivisionError("nobody expects this")


Remains.give_back = _fail  # type: ignore[method-assign, assignment]
