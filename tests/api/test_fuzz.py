"""Schemathesis against the running API: no 5xx, and every answer is one that the description promises.

`make fuzz` takes longer over it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import httpx2
import pytest

EXAMPLES = int(os.environ.get("SLUICE_EXAMPLES", "0"))
SECONDS = EXAMPLES or 20
CANNOT_SAY = "positive_data_acceptance"
"""A schema cannot say "at most ten years ahead", nor "no NUL in any string below"."""
CONFIG = """\
[checks.negative_data_rejection]
# What is not valid may be too long as well.
expected-statuses = [400, 404, 405, 409, 413, 415, 422]
"""


@pytest.mark.timeout(120 + 4 * EXAMPLES)
async def test_nothing_that_schemathesis_thinks_of_is_answered_wrongly(
    shared: httpx2.AsyncClient, tmp_path: Path
) -> None:
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"),
        *(
            f"{shared.base_url}/openapi.json",
            "--checks",
            "all",
            "--exclude-checks",
            CANNOT_SAY,
            "--seed",
            "1",
        ),
        *("--max-examples", str(EXAMPLES or 10), "--max-time", str(SECONDS), "--no-shrink", "--no-color"),
        *("--generation-database", "none"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()

    told = output.decode("utf-8", "replace")
    assert process.returncode == 0, "\n".join(line[:500] for line in told.splitlines()[-120:])
    assert "Tested: 8" in told
    assert "Stateful" in told, "links are followed: what is submitted is looked at and canceled"
