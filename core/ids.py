"""Ids: new ones, and as others want them. The one use of an application clock; nothing depends on it."""

from __future__ import annotations

import sys
import uuid
from datetime import UTC, datetime, timedelta

from sluice.core.task import ConsumerId, TaskId

if sys.version_info >= (3, 14):
    _uuid7 = uuid.uuid7
else:
    from uuid_utils.compat import uuid7 as _uuid7


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BEHIND_THE_TIME = 80  # bits


def new_task_id() -> TaskId:
    """A UUIDv7 (RFC 9562): time-ordered, so that the primary key's hot end stays in cache."""
    return TaskId(_uuid7())


def lowest_task_id(at: datetime, *, earlier: timedelta) -> TaskId:
    """Return an id below all that `new_task_id` makes from `earlier` before `at` on. Before 1970 none was made."""
    milliseconds = max(0, (at - _EPOCH - earlier) // timedelta(milliseconds=1))
    return TaskId(uuid.UUID(int=milliseconds << _BEHIND_THE_TIME))


def plain(found: uuid.UUID) -> uuid.UUID:
    """A uuid.UUID itself, for whoever takes no subclass: JSON encoders, and people who look at types."""
    return uuid.UUID(int=found.int)


def new_consumer_id() -> ConsumerId:
    """A consumer's name for one life: never reused, so that no successor vouches for the dead."""
    return ConsumerId(_uuid7())
