"""Which of a project's Python files change, as they do. Imports none of them.

Folders are found here and watched one by one: left to itself the library would watch those of libraries and data too,
before any filter is asked, until the system has no watches left.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sysconfig
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

from watchfiles import Change, awatch

from sluice.core.process.command_line import here
from sluice.core.telemetry.log import logger

NOT_OURS = frozenset({"__pycache__", "node_modules", "site-packages", "dist-packages"})
MOST_FOLDERS = 5000
"""A start in `/` or in a home directory is a mistake, and reading all of it would take minutes."""
LOST_MS = 1000
"""What changes while watching begins is found after so long."""
AGAIN_SECONDS = 1.0
_LIBRARIES = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib"))


@dataclass(frozen=True, slots=True)
class Tree:
    """The folders that are watched, and for each Python file in them its time and size."""

    folders: frozenset[str]
    files: Mapping[str, tuple[int, int]]


def roots(modules: Sequence[str]) -> list[Path]:
    """Return where a project's code is: the current directory, and where on the import path `modules` are found.

    Folders of libraries are none of them, nor is `/`. Nothing is imported.
    """
    found = [here(), *(folder for name in modules for folder in _beside(name.partition(".")[0]))]
    return [root for root in dict.fromkeys(found) if root != root.parent and not _is_library(root)]


async def changes(roots: Sequence[Path]) -> AsyncIterator[Sequence[str]]:
    """Yield the names of the Python files below `roots` that were changed, made or removed, some at a time.

    Hidden folders, virtual environments and what `NOT_OURS` names are left out. Where the system refuses to watch, the
    folders are polled.
    """
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it tells of each batch as well
    seen, polled = scan(roots), False
    if len(seen.folders) >= MOST_FOLDERS:
        logger().warning("reload.too_many_folders", watched=MOST_FOLDERS)
    while True:
        try:
            async for now in _scans(roots, seen.folders, polled=polled):
                if changed := _changed(seen.files, now.files):
                    yield changed
                seen = now
        except (OSError, RuntimeError) as refused:  # too many watches or watchers, or a folder has just gone
            if polled:
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                logger().warning("reload.polls", reason=str(refused).partition(" about")[0])
            polled, seen = True, Tree(scan(roots).folders, seen.files)


def scan(roots: Iterable[Path]) -> Tree:
    """Read the folders below `roots`, MOST_FOLDERS at most."""
    walked = islice((folder for root in roots for folder in _walk(root)), MOST_FOLDERS)
    folders, files = set(), {}
    for folder, names in walked:
        folders.add(folder)
        for name in names:
            path = os.path.join(folder, name)  # noqa: PTH118 - there may be thousands
            with suppress(OSError):  # it has just gone
                found = os.stat(path)  # noqa: PTH116 - as above
                files[path] = (found.st_mtime_ns, found.st_size)
    return Tree(frozenset(folders), files)


def _walk(root: Path) -> Iterable[tuple[str, list[str]]]:
    for folder, below, names in os.walk(root):
        if "pyvenv.cfg" in names:
            below.clear()
            continue
        below[:] = sorted(name for name in below if not name.startswith(".") and name not in NOT_OURS)
        yield folder, [name for name in names if name.endswith(".py") and not name.startswith(".")]


async def _scans(roots: Sequence[Path], folders: frozenset[str], *, polled: bool) -> AsyncIterator[Tree]:
    """Yield what is there, once soon after watching has begun and then after each change; end with other folders."""
    if not folders:
        await asyncio.sleep(AGAIN_SECONDS)
        yield scan(roots)
        return
    begun = False
    watching = awatch(
        *sorted(folders),
        watch_filter=_may_matter,
        recursive=False,
        rust_timeout=LOST_MS,
        yield_on_timeout=True,
        force_polling=polled or None,
        ignore_permission_denied=True,
    )
    async with aclosing(watching) as batches:
        async for batch in batches:
            if begun and not batch:
                continue
            begun, now = True, scan(roots)
            yield now
            if now.folders != folders:
                return


def _may_matter(change: Change, path: str) -> bool:
    return change is Change.deleted or path.endswith(".py") or Path(path).is_dir()


def _changed(before: Mapping[str, tuple[int, int]], now: Mapping[str, tuple[int, int]]) -> list[str]:
    paths = sorted({path for path, _ in before.items() ^ now.items()})
    return [os.path.relpath(path) for path in paths]


def _beside(top: str) -> Iterable[Path]:
    """Where the top-level module `top` is, if that is on the import path."""
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return
    if spec is None:
        return
    packages = spec.submodule_search_locations
    for place in packages if packages is not None else [spec.origin or ""]:
        if Path(place).exists() and Path(place).is_absolute():
            yield Path(place).parent


def _is_library(folder: Path) -> bool:
    return folder in _LIBRARIES or not NOT_OURS.isdisjoint(folder.parts)
