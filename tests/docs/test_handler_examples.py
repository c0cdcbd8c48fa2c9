"""Every python block of the documents is valid, and those with handlers load as a consumer loads them."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.docs.markdown import DOCUMENTS, Block, blocks

EXAMPLES = [block for document in DOCUMENTS for block in blocks(document, "python")]
LOAD = """
import sys
from sluice.consumer.handlers.loader import load

built_in = load([]).keys()
for module in sys.argv[1:]:
    print(module, *sorted(load([module]).keys() - built_in))
"""


@pytest.mark.parametrize("block", EXAMPLES, ids=lambda block: block.where)
def test_an_example_is_python(block: Block) -> None:
    ast.parse(block.text, block.where)


def test_examples_load_as_a_consumer_loads_them(tmp_path: Path) -> None:
    handlers = {
        f"example{number}": block for number, block in enumerate(EXAMPLES) if "@handler(" in block.text
    }
    for name, block in handlers.items():
        (tmp_path / f"{name}.py").write_text(block.text, encoding="utf-8")

    loaded = subprocess.run(
        [sys.executable, "-c", LOAD, *handlers], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert loaded.returncode == 0, loaded.stderr
    found = {name: kinds for name, *kinds in map(str.split, loaded.stdout.splitlines())}
    assert found.keys() == handlers.keys()
    assert {"README.md", "handlers.md"} <= {block.document.name for block in handlers.values()}
    for name, block in handlers.items():
        assert len(found[name]) == block.text.count("@handler("), block.where


def test_the_example_of_a_test_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """handlers.md shows how to test a handler of its own example module."""
    shop, example = (
        next(block for block in EXAMPLES if block.document.name == "handlers.md" and mark in block.text)
        for mark in ("# shop.py\n", "def test_")
    )
    module = ModuleType("")
    for name, block in (("shop", shop), ("test_shop", example)):
        module = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(block.text, block.where, "exec"), vars(module))  # noqa: S102 - the project's own documents
    found = [value for name, value in vars(module).items() if name.startswith("test_")]

    assert found
    for function in found:
        function()
