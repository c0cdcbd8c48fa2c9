"""The state machine's table, asked for one step."""

from __future__ import annotations

from sluice.core.lifecycle import TRANSITIONS
from sluice.core.task import Status


def allowed(verb: str, source: Status, target: Status) -> bool:
    """Whether `verb` may move a task from `source` to `target`."""
    transition = TRANSITIONS[verb]
    return source in transition.sources and target in transition.targets
