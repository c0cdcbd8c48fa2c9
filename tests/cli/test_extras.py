"""Without the extra `server`, what runs a part says in one line what to install."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import launching

WITHOUT = """
import runpy, sys
sys.modules.update(dict.fromkeys({missing!r}))
sys.argv[1:] = {arguments!r}
runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
"""
EXTRA = ["asyncpg", "redis", "sqlalchemy", "uvicorn", "watchfiles"]


def _run(
    tmp_path: Path, module: str, *arguments: str, missing: list[str]
) -> subprocess.CompletedProcess[str]:
    code = WITHOUT.format(missing=missing, module=module, arguments=list(arguments))
    return subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        env=launching.inherited("DATABASE_URL", "REDIS_URL"),
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


@pytest.mark.parametrize(
    ("module", "arguments", "said"),
    [
        ("sluice.api", (), "sluice api: the module "),
        ("sluice.consumer", (), "sluice consumer: the module "),
        ("sluice.consumer", ("--reload",), "sluice consumer: the module "),
        ("sluice", ("api",), "Error: the module "),
    ],
)
def test_a_part_without_the_extra_says_what_to_install(
    tmp_path: Path, module: str, arguments: tuple[str, ...], said: str
) -> None:
    result = _run(tmp_path, module, *arguments, missing=EXTRA)
    assert (result.returncode, result.stdout) == (1, "")
    [line] = result.stderr.splitlines()
    assert line.startswith(said)
    assert line.endswith("pip install 'sluice-tasks[server]'")


def test_another_module_that_is_missing_is_no_matter_of_the_extra(tmp_path: Path) -> None:
    result = _run(tmp_path, "sluice.consumer", missing=["orjson"])
    assert "Traceback" in result.stderr
