"""Where the documents are followed."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.docs.session import Session

CURL = Path(__file__).with_name("curl.py")

# What a developer's shell may have set and a reader's has not.
OURS = (
    "DATABASE_URL",
    "SLUICE_SCHEMA",
    "REDIS_URL",
    "REDIS_PREFIX",
    "SLUICE_URL",
    "HANDLERS",
    "QUEUES",
    "LEASE_SECONDS",
    "FORCE_COLOR",
)


@pytest.fixture
def directory(run_directory: Path) -> Iterator[Path]:
    """An empty directory that the embedded servers' account can pass (pytest's own are private to us)."""
    made = run_directory / f"docs-{uuid4().hex[:12]}"
    made.mkdir()
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def commands(tmp_path: Path) -> str:
    """A PATH with this environment's commands first, and a stand-in for curl last."""
    stand_in = tmp_path / "bin" / "curl"
    stand_in.parent.mkdir()
    stand_in.symlink_to(CURL)
    directories = (str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), str(stand_in.parent))
    return os.pathsep.join(directories)


@pytest.fixture
async def session(directory: Path, commands: str, unused_tcp_port: int) -> AsyncIterator[Session]:
    """A reader in an empty directory."""
    inherited = {name: value for name, value in os.environ.items() if name not in OURS}
    async with Session(directory, unused_tcp_port, {**inherited, "PATH": commands}) as reader:
        yield reader
