"""Small files that a crash leaves as they were, or as they are to be: never empty, never half."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def put(path: Path, text: str) -> None:
    """Have `path` hold `text`, in one step. A file that was there keeps its owner and its mode."""
    fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    part = Path(name)
    try:
        with os.fdopen(fd, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            file.flush()
            os.fsync(fd)
        _look_like(part, path)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _look_like(part: Path, path: Path) -> None:
    try:
        found = path.stat()
    except FileNotFoundError:
        part.chmod(0o644)
        return
    part.chmod(found.st_mode & 0o777)
    with suppress(PermissionError):  # we are not root, and it is ours
        os.chown(part, found.st_uid, found.st_gid)
