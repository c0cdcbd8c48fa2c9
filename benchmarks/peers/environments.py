"""Makes each peer's own environment below .build/peers, with the versions that this directory pins. Runs no peer."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.stage import ROOT
from sluice.core.errors import SluiceError

HERE = Path(__file__).parent
HOME = ROOT / ".build" / "peers"
Version = tuple[int, ...]
ANY_PYTHON: Version = (3, 11)
_NEWER_PYTHONS = ("python3.14", "python3.13", "python3.12")
_OLDEST_NODE: Version = (22, 18)
_STAMP = ".installed"


class Absent(SluiceError):
    """A peer that cannot be installed or run here, and why."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a peer runs: `command` starts its adapter; `interpreter` and `packages` are the versions it runs on."""

    command: tuple[str, ...]
    interpreter: str
    packages: dict[str, str]


def python_environment(name: str, adapter: str, *, oldest: Version, named: str | None) -> Environment:
    """A virtual environment with exactly requirements/<name>.txt. Raises Absent.

    Its Python is the one that runs this, unless that is older than `oldest`: then `named`, or the newest on the path.
    """
    base, version = _find_python(oldest, named)
    requirements = HERE / "requirements" / f"{name}.txt"
    home = HOME / name
    python = str(home / "bin" / "python")
    stamp = _stamp(version, requirements)
    if not _stamped(home, stamp):
        _run(base, "-m", "venv", "--clear", str(home))
        pip = (python, "-m", "pip", "--quiet", "--disable-pip-version-check")
        _run(*pip, "install", "--no-deps", "--requirement", str(requirements))
        _run(*pip, "check")
        (home / _STAMP).write_text(stamp)
    lines = requirements.read_text().splitlines()
    pins = [line.partition("==") for line in lines if "==" in line and ";" not in line]
    return Environment(
        (python, str(HERE / "adapters" / adapter)),
        f"CPython {version}",
        {distribution.lower(): pinned for distribution, _, pinned in pins},
    )


def node_environment(name: str, source: Path) -> Environment:
    """The packages that `source` locks, and beside them its adapter.js. Raises Absent.

    The lock brings a Node of its own for Linux on x64; elsewhere the one on the path must be new enough.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise Absent("npm is not on the path")
    home = HOME / name
    lock = source / "package-lock.json"
    stamp = _stamp("npm", lock)
    if not _stamped(home, stamp):
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        for file in (lock, source / "package.json"):
            shutil.copy(file, home)
        _run(npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(home))
        (home / _STAMP).write_text(stamp)
    adapter = str(shutil.copy(source / "adapter.js", home))
    node = shutil.which(str(home / "node_modules" / ".bin" / "node")) or shutil.which("node")
    if node is None:
        raise Absent("there is no Node")
    version = _run(node, "--version").strip().lstrip("v")
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST_NODE:
        raise Absent(f"Node {version} is older than {'.'.join(map(str, _OLDEST_NODE))}")
    locked = json.loads(lock.read_text())["packages"]
    return Environment(
        (node, adapter),
        f"Node {version}",
        {path.removeprefix("node_modules/"): pin["version"] for path, pin in locked.items() if path},
    )


def _find_python(oldest: Version, named: str | None) -> tuple[str, str]:
    """The path and the version of a Python that runs: a name on the path may be a shim that does not."""
    if sys.version_info[: len(oldest)] >= oldest:
        return sys.executable, platform.python_version()
    for candidate in (named,) if named else _NEWER_PYTHONS:
        path = shutil.which(candidate)
        if path is None:
            continue
        asked = (path, "-c", "import platform, venv; print(platform.python_version())")
        try:
            version = _run(*asked).strip()
        except Absent:
            continue
        if tuple(int(part) for part in version.split(".")[: len(oldest)]) >= oldest:
            return path, version
    raise Absent(f"needs Python {'.'.join(map(str, oldest))} or newer: name one with --python")


def _stamp(interpreter: str, pins: Path) -> str:
    return f"{interpreter} {hashlib.sha256(pins.read_bytes()).hexdigest()}"


def _stamped(home: Path, stamp: str) -> bool:
    path = home / _STAMP
    return path.exists() and path.read_text() == stamp


def _run(*command: str) -> str:
    """What it writes to stdout. Raises Absent with its last words when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - built above
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise Absent(
            f"{' '.join(Path(word).name for word in command[:4])}: {words[-1] if words else 'failed'}"
        )
    return done.stdout
