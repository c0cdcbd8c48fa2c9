"""Every rule of docs/guarantees.md is named where the code keeps it and where a test shows it, and no other rule is."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = ("api", "cli", "consumer", "core", "db")
_RULE = r"[A-Z][1-9](?: (?!to )[A-Za-z ]+?)?"
NAMED = re.compile(rf"\(({_RULE}(?:(?: to |, ){_RULE})*)\)")
ONE = re.compile(r"([A-Z])([1-9])(?: to \1([1-9]))?")


def the_rules() -> list[str]:
    """As the page lists them."""
    return re.findall(
        r"^- \*\*([A-Z][1-9])\b", (ROOT / "docs" / "guarantees.md").read_text("utf-8"), re.MULTILINE
    )


def named_in(text: str) -> set[str]:
    """What stands in brackets: `(R2 fence)`, `(U2 reap, L1 to L3)`."""
    return {
        f"{kind}{n}"
        for named in NAMED.findall(text)
        for kind, first, last in ONE.findall(named)
        for n in range(int(first), int(last or first) + 1)
    }


def remarks(path: Path) -> Iterator[str]:
    """The docstrings and comments of a file that names rules: what is said, not what is done."""
    source = path.read_text("utf-8")
    if not NAMED.search(source):
        return
    if path.suffix == ".sql":
        yield from (line for line in source.splitlines() if line.startswith("--"))
        return
    yield from (
        token.string
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    )
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield str(node.value.value)  # what stands below a constant


def files(*tops: str) -> Iterator[Path]:
    for top in tops:
        yield from (ROOT / top).rglob("*.py")
        yield from (ROOT / top).rglob("*.sql")


def test_the_page_lists_rules() -> None:
    assert len(the_rules()) == len(set(the_rules())) == 25


@pytest.mark.parametrize("tops", [PRODUCT, ("tests",)], ids=["the code", "the tests"])
def test_every_rule_is_named_in(tops: tuple[str, ...]) -> None:
    found = {
        rule
        for path in files(*tops)
        if "tests" not in tops or path.name.startswith("test_")
        for remark in remarks(path)
        for rule in named_in(remark)
    }
    assert set(the_rules()) - found == set()


def test_no_rule_is_named_that_the_page_does_not_list() -> None:
    known = set(the_rules())
    unknown = {
        f"{path.relative_to(ROOT)}: {rule}"
        for path in files(*PRODUCT, "tests")
        for remark in remarks(path)
        for rule in named_in(remark)
        if rule not in known
    }
    assert unknown == set()


def test_every_test_that_the_page_names_is_there() -> None:
    page = (ROOT / "docs" / "guarantees.md").read_text("utf-8")
    named = re.findall(r"`(tests/[\w/.]+?\.py)(?:::(\w+))?`", page)
    assert len(named) > 20
    missing = [
        f"{path}::{test}"
        for path, test in named
        if not (ROOT / path).exists() or (test and f"def {test}(" not in (ROOT / path).read_text("utf-8"))
    ]
    assert missing == []
