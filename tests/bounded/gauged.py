"""`gauged.py MODULE ARGUMENTS` is `python -m MODULE`, but SIGUSR1 has it write to the file GAUGE what it holds."""

import asyncio
import gc
import json
import os
import runpy
import signal
import sys
from pathlib import Path
from types import FrameType


def _write(_number: int, _frame: FrameType | None) -> None:
    gc.collect()
    gc.unfreeze()  # what was there at the start counts too
    loop = asyncio._get_running_loop()
    tasks = len(asyncio.all_tasks(loop)) if loop is not None else 0
    gauge = Path(os.environ["GAUGE"])
    part = gauge.with_suffix(".part")
    part.write_text(json.dumps({"tasks": tasks, "objects": len(gc.get_objects())}))
    part.rename(gauge)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, _write)
    module = sys.argv.pop(1)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
