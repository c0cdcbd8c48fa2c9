"""Ids as asyncpg has them: its UUID, in C, is a uuid.UUID that is made, compared and hashed many times faster."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from asyncpg.pgproto import pgproto

from sluice.core.task import TaskId


def to_id(text: str) -> TaskId:
    """The id that this text is; the caller has looked at its form."""
    return TaskId(cast("UUID", pgproto.UUID(text)))
