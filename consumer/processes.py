"""`--processes N`: what a parent of several consumers starts as its children."""

from __future__ import annotations

from core import family


async def supervise(n: int, *, queues: str | None) -> int:
    """Keep `n` consumers running as children until SIGTERM or SIGINT; otherwise as core.family.supervise."""
    return await family.supervise(n, "consumer", ["--queues", queues] if queues is not None else [])
