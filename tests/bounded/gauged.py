"""With a module's name and arguments it is `python -m MODULE`, but SIGUSR1 has it write what it holds to file GAUGE.

Named in HANDLERS it does the same for a consumer, and has handlers that leave things to be cleared up.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import runpy
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from sqlalchemy import text

from sluice import Context, handler


def _write(_number: int, _frame: FrameType | None) -> None:
    gc.collect()
    gc.unfreeze()  # what was there at the start counts too
    loop = asyncio._get_running_loop()
    tasks = len(asyncio.all_tasks(loop)) if loop is not None else 0
    gauge = Path(os.environ["GAUGE"])
    part = gauge.with_suffix(".part")
    part.write_text(json.dumps({"tasks": tasks, "objects": len(gc.get_objects())}))
    part.rename(gauge)


signal.signal(signal.SIGUSR1, _write)


@handler("session")
async def session(ctx: Context, payload: dict[str, Any]) -> None:
    """Holds a connection for as long as it may, in the middle of a statement or between two."""
    opened = await ctx.session()
    if payload.get("asks"):
        await opened.execute(text("SELECT pg_sleep(3600)"))
    await asyncio.sleep(3600)


if __name__ == "__main__":
    module = sys.argv.pop(1)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
