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
from tests.support import launching

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
async def session(directory: Path, tmp_path: Path, unused_tcp_port: int) -> AsyncIterator[Session]:
    """A reader in an empty directory. On the PATH come this environment's commands first, a stand-in for curl last."""
    first, last = tmp_path / "first", tmp_path / "last"
    for made in (first, last):
        made.mkdir()
    files = launching.put_command(first / "sluice", "sluice")
    (last / "curl").symlink_to(CURL)
    activate = directory / ".venv" / "bin" / "activate"  # a reader has it; the command is on the PATH already
    activate.parent.mkdir(parents=True)
    activate.touch()
    places = (first, Path(sys.executable).parent, os.environ.get("PATH", os.defpath), last)
    environment = {**launching.inherited(*OURS), "PATH": os.pathsep.join(map(str, places))}
    async with Session(directory, unused_tcp_port, environment, files) as reader:
        yield reader
