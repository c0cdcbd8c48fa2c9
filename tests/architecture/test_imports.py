"""Imports point one way, and importing a module of ours does nothing but define names."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("api", "cli", "consumer", "core", "db")


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter that has imported nothing of ours, in the checkout."""
    # What is installed has its bytecode; ours shall have it as well, or a comparison would time the compiler.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def modules() -> list[str]:
    """Every module of the product by name; __main__ modules run on import, so they are left out."""
    paths = (path for top in PACKAGES for path in (ROOT / top).rglob("*.py"))
    names = (
        f"sluice.{path.relative_to(ROOT).with_suffix('').as_posix().replace('/', '.')}" for path in paths
    )
    return sorted(name.removesuffix(".__init__") for name in names if not name.endswith("__main__"))


def test_the_layers_hold() -> None:
    lint_imports = Path(sys.executable).parent / "lint-imports"

    result = subprocess.run(
        [lint_imports, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stdout + result.stderr


TIMED = (
    "import importlib, sys, time; began = time.process_time(); "
    "importlib.import_module(sys.argv[1]); print(time.process_time() - began)"
)
LOADED = "import importlib, sys; [importlib.import_module(n) for n in sys.argv[1:]]; print(*sys.modules)"


@pytest.mark.parametrize(
    ("imported", "heavy"),
    [
        (
            ("sluice.core.task",),
            {"alembic", "asyncpg", "fastapi", "pydantic_settings", "redis", "sqlalchemy"},
        ),
        (("sluice.core",), {"alembic", "asyncpg", "fastapi", "redis", "sqlalchemy", "typer", "uvicorn"}),
        (("sluice.db",), {"alembic", "fastapi", "typer", "uvicorn"}),
        (("sluice.consumer",), {"alembic", "fastapi", "starlette", "typer", "uvicorn"}),
        (("sluice.api",), {"alembic", "typer"}),
        (("sluice.cli.main",), {"alembic", "asyncpg", "fastapi", "redis", "sqlalchemy", "uvicorn"}),
    ],
    ids=["core.task", "core", "db", "consumer", "api", "cli.main"],
)
def test_importing_stays_light(imported: tuple[str, ...], heavy: set[str]) -> None:
    names = [name for name in modules() if ".".join(name.split(".")[:2]) in imported] or list(imported)

    result = python(LOADED, *names)

    assert result.returncode == 0, result.stderr
    assert heavy & set(result.stdout.split()) == set()


def test_what_handler_modules_import_is_light() -> None:
    heavy = {
        "alembic",
        "asyncpg",
        "fastapi",
        "pydantic",
        "redis",
        "sqlalchemy",
        "structlog",
        "typer",
        "uvicorn",
    }
    assert heavy & set(python(LOADED, "sluice").stdout.split()) == set()
    rounds = [[float(python(TIMED, name).stdout) for name in ("sluice", "pydantic")] for _ in range(5)]
    ours, pydantic = map(min, zip(*rounds, strict=True))
    assert ours <= 1.5 * pydantic


# Reports what a module of ours does while it is imported: the audit events whose nearest frame outside the standard
# library is ours. Reading the source of an imported module is importlib's doing and does not count.
WATCH = """
import importlib, os, sys, sysconfig

root = os.getcwd() + os.sep
tops = tuple(root + top + os.sep for top in sys.argv[1].split(","))
standard = (sysconfig.get_path("stdlib"), "<frozen")
site = sysconfig.get_path("purelib")
watched = ("open", "socket.connect", "socket.bind", "subprocess.Popen", "os.posix_spawn", "os.fork",
           "os.mkdir", "os.remove", "os.rename", "os.putenv", "_thread.start_new_thread", "signal.signal")
found = []

def hook(event, arguments):
    if event not in watched:
        return
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if "importlib._bootstrap" in name:
            return
        if name.startswith(tops):
            found.append(f"{name.removeprefix(root)}:{frame.f_lineno}: {event} {arguments[:1]}")
            return
        if name.startswith(site) or not name.startswith(standard):
            return
        frame = frame.f_back

sys.addaudithook(hook)
for name in sys.argv[2:]:
    importlib.import_module(name)
done = list(found)
print(*done, sep="\\n")
"""


def test_importing_opens_reads_and_starts_nothing() -> None:
    result = python(WATCH, "sluice", "sluice", *modules())

    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == ""


def test_the_watch_on_imports_sees_a_file_being_read(tmp_path: Path) -> None:
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "__init__.py").touch()
    (tmp_path / "core" / "reads.py").write_text("import pathlib\npathlib.Path('/dev/null').read_text()\n")

    result = subprocess.run(
        [sys.executable, "-c", WATCH, "core", "core.reads"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.stdout.startswith("core/reads.py:2: open"), result.stderr
