"""The wheel holds the product, its statements, types and assets and the migrations, and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("api", "cli", "consumer", "core", "db")
NO_PRODUCT = {".pyc", ".pyo"}


def shipped(top: str) -> set[str]:
    """The files under a folder of the checkout that belong into the wheel, relative to the checkout."""
    paths = (path for path in (ROOT / top).rglob("*") if path.is_file() and path.suffix not in NO_PRODUCT)
    return {path.relative_to(ROOT).as_posix() for path in paths}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    target = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", target],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    [path] = target.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


@pytest.mark.parametrize("top", PACKAGES)
def test_every_file_of_a_package_is_in_the_wheel(top: str, wheel: set[str]) -> None:
    assert "sluice/py.typed" in wheel
    assert {f"sluice/{name}" for name in shipped(top)} - wheel == set()


def test_the_migrations_are_in_the_wheel_under_db(wheel: set[str]) -> None:
    moved = {name.replace("alembic/", "sluice/db/migrations/", 1) for name in shipped("alembic")}

    assert any(name.startswith("sluice/db/migrations/versions/") for name in moved)
    assert moved - wheel == set()


def test_nothing_else_is_in_the_wheel(wheel: set[str]) -> None:
    tops = {name.split("/")[0] for name in wheel}
    rooms = {name.split("/")[1] for name in wheel if name.startswith("sluice/")}

    assert sorted(name for name in tops if not name.endswith(".dist-info")) == ["sluice"]
    assert rooms == {*PACKAGES, "__init__.py", "__main__.py", "py.typed"}
    assert not [name for name in wheel if "__pycache__" in name]
