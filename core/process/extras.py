"""What is not installed without the extra `server`, in words. Imports none of it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib.metadata import requires

DISTRIBUTION = "sluice-tasks"
_SERVER = re.compile(r"""([\w-]+).*;.*\bextra == ['"]server['"]""")


def lacking(missing: ModuleNotFoundError) -> str | None:
    """Say what to install for a module that is missing; None when it is none that the extra would bring."""
    name = (missing.name or "").partition(".")[0]
    extra = {
        found[1].replace("-", "_") for found in map(_SERVER.match, requires(DISTRIBUTION) or ()) if found
    }
    if name not in extra:
        return None
    return f"the module {name} is not installed; this command needs it: pip install '{DISTRIBUTION}[server]'"


def run(program: str, main: Callable[[], int]) -> int:
    """Run `main` and return its exit status: 1, with a line on stderr, when a module of the extra is missing."""
    try:
        return main()
    except ModuleNotFoundError as missing:
        what = lacking(missing)
        if what is None:
            raise
        sys.stderr.write(f"{program}: {what}\n")
        return 1
