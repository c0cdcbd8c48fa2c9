"""Modules of handlers, written where a test has its current directory."""

from __future__ import annotations

from pathlib import Path

HANDLER = """
from sluice import Context, handler

@handler("{kind}")
async def {name}(ctx: Context, payload: dict) -> None: ...
"""


def write(path: Path, text: str = "", *, kind: str = "mine", name: str = "mine") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text or HANDLER.format(kind=kind, name=name))
