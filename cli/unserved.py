"""Says why a task that waits does not start: nobody alive serves it. Asks /health, and never fails a command."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from sluice.cli.client import Api, Task
from sluice.cli.watch import Watch
from sluice.core.errors import SluiceError
from sluice.core.unserved import WITH_KIND, with_queue

FIRST_SECONDS = 1.0
"""A task that is served has begun by then, as a rule."""
AGAIN_SECONDS = 5.0
"""Consumers may end while somebody waits."""


def reason(api: Api, task: Task) -> str | None:
    """Why this task does not start, when no live consumer would take it; None when one would, or nobody knows.

    One request, and none for a task that is not due or not pending.
    """
    with suppress(SluiceError, KeyError, TypeError, ValueError):
        if task["status"] == "pending" and _due(task):
            return _missing(api.health(), task["queue"], task["kind"])
    return None


def reason_by_id(api: Api, task_id: str) -> str | None:
    """The same of a task of which the id is known. One request more."""
    with suppress(SluiceError):
        return reason(api, api.get(task_id))
    return None


class WhileWaiting:
    """Call it now and then while tasks of one queue and kind are waited for: it says the reason, once."""

    def __init__(self, api: Api, watch: Watch) -> None:
        self._api = api
        self._watch = watch
        self._next: float | None = time.monotonic() + FIRST_SECONDS

    def __call__(self) -> str | None:
        """The reason, when there is one and it was not said before."""
        now = time.monotonic()
        if self._next is None or now < self._next or not self._watch.open:
            return None
        self._next = now + AGAIN_SECONDS
        said = reason_by_id(self._api, min(self._watch.open))
        if said:
            self._next = None
        return said


def _due(task: Task) -> bool:
    """By the clock of this machine, and by the database's for what was not delayed."""
    run_at, created_at = (datetime.fromisoformat(task[name]) for name in ("run_at", "created_at"))
    return run_at <= max(created_at, datetime.now(UTC))


def _missing(health: Mapping[str, Any], queue: str, kind: str) -> str | None:
    """What no live consumer has. An API that does not list all kinds is not judged by."""
    if health["database"] != "up" or "warnings" not in health:
        return None
    consumers = health["consumers"]
    if not consumers:
        return "no consumer is alive: see what `sluice up` says, or start one with `sluice consumer`"
    of_queue = [each for each in consumers if queue in each["queues"]]
    if not of_queue:
        return f"nobody serves queue {queue}: no live consumer has it; {with_queue(queue)}"
    if any(kind in each["kinds"] or each["unnamed_kinds"] for each in of_queue):
        return None
    if any(kind in each["kinds"] for each in consumers):
        elsewhere = "who has the kind serves other queues"
        return f"nobody serves kind {kind} in queue {queue}: {elsewhere}; {with_queue(queue)}"
    if any(each["unnamed_kinds"] for each in consumers):
        return (
            f"nobody serves kind {kind} in queue {queue}: no live consumer of that queue has it; {WITH_KIND}"
        )
    return f"nobody serves kind {kind}: no live consumer has it; {WITH_KIND}"
