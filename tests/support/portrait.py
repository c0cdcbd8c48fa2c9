"""Write to stderr how this process began, as one line of JSON, and end as the first argument says."""

from __future__ import annotations

import json
import locale
import os
import signal
import sys
import threading
from pathlib import Path


def _portrait() -> dict[str, object]:
    return {
        "arguments": (sys.argv, sys.orig_argv),
        "import path": sys.path,
        "environment": {name: value for name, value in os.environ.items() if name != "LC_CTYPE"},
        "directory": str(Path.cwd()),
        "main": (__name__, __spec__.name, sys.modules["__main__"].__dict__ is globals()),
        "interpreter": (sys.executable, repr(sys.flags), sys.warnoptions, sys.getrecursionlimit()),
        "locale": (locale.setlocale(locale.LC_CTYPE), sys.getfilesystemencoding()),
        "streams": [
            (each.fileno(), each.encoding, each.errors, each.line_buffering, os.fstat(each.fileno()).st_mode)
            for each in (sys.stdin, sys.stdout, sys.stderr)
        ],
        "files": [fd for fd in range(256) if _is_open(fd)],
        "leads": (os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()),
        "signals": {number: repr(signal.getsignal(number)) for number in signal.valid_signals()},
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "threads": [thread.name for thread in threading.enumerate()],
    }


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.stderr.write(json.dumps(_portrait()) + "\n")
    sys.stderr.flush()
    how = sys.argv[1]
    if how.startswith("SIG"):
        os.kill(os.getpid(), signal.Signals[how])
    if how in {"stay", *signal.Signals.__members__}:
        signal.pause()
    raise KeyboardInterrupt if how == "Ctrl-C" else SystemExit(int(how))
