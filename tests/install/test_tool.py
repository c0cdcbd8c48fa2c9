"""`tools/install` beside a Python that only pretends to install."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.support.consuming import ROOT

PRETENDS = """#!/bin/sh
if [ "$1 $2" = "-m venv" ]; then
    mkdir -p .venv/bin
    cp "$0" .venv/bin/python
fi
exit 0
"""


def test_it_names_no_next_step_as_any_target_of_make_may_have_called_it(tmp_path: Path) -> None:
    for name in ("tools/install", "requirements/dev.txt", "pyproject.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    python = tmp_path / "python"
    python.write_text(PRETENDS)
    python.chmod(0o755)
    done = subprocess.run(
        [tmp_path / "tools" / "install"],
        env={"PATH": "/usr/bin:/bin", "PYTHON": str(python)},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "install: done"
