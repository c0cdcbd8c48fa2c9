"""`python -m consumer` and `python -m api` where only `sluice` is installed, as in the image. Holds no part itself."""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path


def run_or_give_way(name: str, file: str) -> None:
    """Run the room of Sluice that the module `file` is named after; imported, let a project's own module take its name.

    The folder of such modules is on the import path before the project's, which Sluice appends.
    """
    folder = str(Path(file).parent)
    sys.path[:] = [entry for entry in sys.path if entry != folder]
    if name == "__main__":
        runpy.run_module(f"sluice.{Path(file).stem}", run_name="__main__", alter_sys=True)
        return
    del sys.modules[name]
    importlib.invalidate_caches()
    importlib.import_module(name)
