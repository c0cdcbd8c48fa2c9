"""What every handler of a chaos run does: its start and its end stand in the history of its process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from sluice import Context
from sluice.consumer.handlers.context import DetachedContext
from tests.chaos.history import History

HISTORIES = "CHAOS_HISTORIES"
MEMBER = "CHAOS_MEMBER"


@cache
def _history() -> History:
    """Also a computing child writes to its consumer's file: each line is one append."""
    return History(Path(os.environ[HISTORIES]) / f"runs-{os.environ[MEMBER]}.jsonl")


@contextmanager
def noted(ctx: Context | DetachedContext) -> Iterator[None]:
    """Note the start now, and the end with how it came: ok, raised or canceled."""
    facts = {"id": str(ctx.id), "token": ctx.fencing_token, "member": os.environ[MEMBER], "pid": os.getpid()}
    _history().add("start", **facts, kind=ctx.kind, attempt=ctx.attempt)
    how = "canceled"
    try:
        yield
        how = "ok"
    except Exception:
        how = "raised"
        raise
    finally:
        _history().add("end", **facts, how=how)
