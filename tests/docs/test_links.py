"""What the documents point at is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.markdown import DOCUMENTS, ROOT, anchors, code, links, prose

ELSEWHERE = {"db/migrations"}  # in the wheel only
TOPS = "alembic|api|benchmarks|cli|consumer|core|db|deploy|docs|tests|tools"
PATH = re.compile(rf"(?:{TOPS})(?:/[\w.*-]+)+/?|(?:{TOPS})/")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    broken = [link for link in links(document) if not _resolves(document, link)]

    assert broken == []


def _resolves(document: Path, link: str) -> bool:
    if "://" in link:
        return link.startswith("https://")
    name, _, anchor = link.partition("#")
    target = (document.parent / name).resolve() if name else document
    if not target.exists():
        return False
    return not anchor or (target.suffix == ".md" and anchor in anchors(target))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_path_of_the_tree_that_is_named_exists(document: Path) -> None:
    named = [text for text in code(prose(document)) if PATH.fullmatch(text) and text not in ELSEWHERE]

    assert [text for text in named if not list(ROOT.glob(text.rstrip("/")))] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_a_list_of_contents_names_every_section(document: Path) -> None:
    text = prose(document)
    listed = [link[1:] for link in re.findall(r"^- \[[^\]]+\]\((#[^)]+)\)", text, re.MULTILINE)]
    sections = [heading.strip() for heading in re.findall(r"^## (.+)$", text, re.MULTILINE)]

    if document.name != "README.md" and listed:
        assert len(listed) == len(sections)
