"""The commands of examples/thumbnails do what its README says, and its handler tells truly what it refuses."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sluice import Discard
from tests.docs.markdown import ROOT, blocks

EXAMPLE = ROOT / "examples" / "thumbnails"
RED, BLUE = b"\xff\x00\x00", b"\x00\x00\xff"


@pytest.fixture(scope="module")
def tasks() -> ModuleType:
    spec = spec_from_file_location("thumbnails_tasks", EXAMPLE / "tasks.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def commands(program: str, place: Path) -> list[list[str]]:
    """The README's commands that begin so, in words, with `place` instead of /tmp."""
    lines = "".join(block.text for block in blocks(EXAMPLE / "README.md", "sh")).splitlines()
    return [
        shlex.split(line.replace("/tmp/", f"{place}/"), comments=True)
        for line in lines
        if line.startswith(program)
    ]


def halved(tasks: ModuleType, source: Path, target: Path) -> Any:
    return tasks.thumbnail(None, tasks.Picture(source=source, target=target))


def test_the_readme_makes_the_picture_that_it_submits(tasks: ModuleType, tmp_path: Path) -> None:
    [[_, *make]] = commands("python -c", tmp_path)
    [submit] = commands("sluice submit", tmp_path)
    subprocess.run([sys.executable, *make], check=True)
    options = dict(zip(submit[2:-1:2], submit[3::2], strict=True))
    payload = json.loads(options["--payload"])

    assert options["--kind"] == tasks.thumbnail.__sluice_handler__[0].kind
    result = tasks.thumbnail(None, tasks.Picture.model_validate(payload))

    assert result == {"width": 320, "height": 240}
    small = Path(payload["target"]).read_bytes()
    assert small.startswith(b"P6\n320 240\n255\n")
    assert len(small) == len(b"P6\n320 240\n255\n") + 3 * 320 * 240


@pytest.mark.parametrize(
    "header",
    [b"P6\n3 3\n255\n", b"P6 3 3 255 ", b"P6\n# by a camera\n3 3\n# the most\n255\n", b"P6 # so\n3\n3 255\n"],
)
def test_every_other_pixel_is_kept(tasks: ModuleType, tmp_path: Path, header: bytes) -> None:
    kept, left_out = RED + BLUE + RED, BLUE * 3
    (tmp_path / "large").write_bytes(header + kept + left_out + kept)

    assert halved(tasks, tmp_path / "large", tmp_path / "small") == {"width": 2, "height": 2}
    assert (tmp_path / "small").read_bytes() == b"P6\n2 2\n255\n" + (RED + RED) * 2


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is no binary PPM image"),
        (b"\x89PNG\r\n\x1a\n", "is no binary PPM image"),
        (b"P3\n1 1\n255\n1 2 3\n", "is no binary PPM image"),
        (b"P6\n1 1\n65535\n" + bytes(6), "of 8 bits a colour"),
        (b"P6\n0 1\n255\n", "is no binary PPM image"),
        (b"P6\n1 2\n255\n" + RED, "ends before its last pixel"),
    ],
)
def test_what_is_no_picture_is_discarded(tasks: ModuleType, tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "large").write_bytes(content)

    with pytest.raises(Discard, match=why):
        halved(tasks, tmp_path / "large", tmp_path / "small")
    assert not (tmp_path / "small").exists()


def test_a_file_that_is_not_there_is_discarded(tasks: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(Discard, match="there is no file"):
        halved(tasks, tmp_path / "large", tmp_path / "small")
