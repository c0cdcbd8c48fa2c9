"""A directory in which servers of a test's own may run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedded.support import new_root


@pytest.fixture
def root(run_directory: Path) -> Iterator[Path]:
    """An empty directory that the servers' account can pass (pytest's own are private to us)."""
    with new_root(run_directory) as directory:
        yield directory
