"""The wheel in an environment of its own, and a project beside it whose packages are named like our rooms."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.embedded.test_place import ORDINARY
from tests.support.consuming import FULL, ROOT

SLOW = pytest.mark.skipif(not FULL, reason="takes a minute: SLUICE_TEST_FULL=1 asks for it, as .ci/run does")
UNUSED = ("__pycache__", "config-*", "ensurepip", "idlelib", "lib2to3", "site-packages", "test", "tkinter")
"""Parts of a standard library that no test here needs."""


@dataclass(frozen=True)
class Installed:
    """An environment that holds the wheel, and of everything else what the lock says.

    `libraries` is where its interpreter finds the one that it is built as.
    """

    python: Path
    libraries: Path

    @property
    def command(self) -> Path:
        """`sluice`."""
        return self.python.with_name("sluice")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", target, cwd=ROOT)
    [path] = target.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def interpreter(run_directory: Path) -> Path:
    """The Python that runs the tests, in a place that an ordinary user may enter."""
    base, version = Path(sys.base_prefix), f"python3.{sys.version_info.minor}"
    place = Path(mkdtemp(prefix="python-", dir=run_directory))
    place.chmod(0o755)
    (place / "bin").mkdir()
    shutil.copy(base / "bin" / version, place / "bin" / version)
    shutil.copytree(base / "lib" / version, place / "lib" / version, ignore=shutil.ignore_patterns(*UNUSED))
    for library in (base / "lib").glob("libpython3*"):
        shutil.copy(library, place / "lib")
    return place / "bin" / version


@pytest.fixture(scope="session")
def installed(wheel: Path, run_directory: Path, interpreter: Path) -> Installed:
    libraries = interpreter.parents[1] / "lib"
    place = Path(mkdtemp(prefix="installed-", dir=run_directory))
    place.chmod(0o755)
    _run(interpreter, "-m", "venv", "--without-pip", place, libraries=libraries)
    python = place / "bin" / "python"
    _run(
        *(
            sys.executable,
            "-m",
            "pip",
            "--python",
            python,
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            wheel,
        )
    )
    [site] = place.glob("lib/python3.*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Installed(python, libraries)


@pytest.fixture(
    params=["root", pytest.param("ordinary user", marks=SLOW)] if os.geteuid() == 0 else ["ordinary user"]
)
def user(request: pytest.FixtureRequest, installed: Installed) -> int | None:
    """Who runs it: None is who runs the tests."""
    if request.param == "root" or os.geteuid() != 0:
        return None
    return ORDINARY


@pytest.fixture
def shop(run_directory: Path) -> Path:
    """The project, in a directory of its own that anybody may enter."""
    place = Path(mkdtemp(prefix="shop-", dir=run_directory))
    place.chmod(0o755)
    shutil.copytree(ROOT / "examples" / "shop", place, dirs_exist_ok=True)
    return place


def _run(*words: object, cwd: Path | None = None, libraries: Path | None = None) -> None:
    environment = {**os.environ, **({"LD_LIBRARY_PATH": str(libraries)} if libraries else {})}
    subprocess.run([str(word) for word in words], cwd=cwd, check=True, capture_output=True, env=environment)
