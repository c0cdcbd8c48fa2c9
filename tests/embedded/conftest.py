"""A directory in which servers of a test's own may run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from sluice.cli.embedded.place import Place
from tests.support.clusters import put_cluster


@pytest.fixture
def root(run_directory: Path) -> Iterator[Path]:
    """An empty directory that the servers' account can pass (pytest's own are private to us)."""
    directory = run_directory / f"root-{uuid4().hex[:12]}"
    directory.mkdir()
    directory.chmod(0o711)
    yield directory
    Place.under(directory).close_sockets()  # of a run that the test killed
    shutil.rmtree(directory)


@pytest.fixture
async def used_root(root: Path, run_directory: Path) -> Path:
    """The same with a cluster in it, for tests that are not about the first start."""
    await put_cluster(run_directory, root)
    return root
