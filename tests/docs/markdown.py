"""The project's documents as data: blocks of code, tables, headings, links. Judges none of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = tuple(sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]))

_FENCE = re.compile(r"^```(?P<language>[\w-]*)[^\n]*\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`[^`\n]*`")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of code; `line` is where its first line stands in the document."""

    document: Path
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def blocks(document: Path, *languages: str) -> list[Block]:
    """The fenced blocks of these languages, in order."""
    text = document.read_text(encoding="utf-8")
    return [
        Block(document, text.count("\n", 0, found.start()) + 2, found["language"], found["text"])
        for found in _FENCE.finditer(text)
        if found["language"] in languages
    ]


def prose(document: Path) -> str:
    """The document without its fenced blocks."""
    return _FENCE.sub("", document.read_text(encoding="utf-8"))


def anchors(document: Path) -> set[str]:
    """What a link into the document may name after the #, as GitHub makes it of the headings."""
    found: dict[str, int] = {}
    for heading in _HEADING.findall(prose(document)):
        words = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found[words] = found.get(words, -1) + 1
    return {name if n == 0 else f"{name}-{n}" for name, last in found.items() for n in range(last + 1)}


def links(document: Path) -> list[str]:
    """Where the document's links point, those in code left out."""
    found: list[str] = _LINK.findall(_CODE.sub("", prose(document)))
    return found


def section(document: Path, heading: str) -> str:
    """The text under a heading, up to the next one of its level or above."""
    text = document.read_text(encoding="utf-8")
    start = re.search(rf"^(#+) {re.escape(heading)} *$", text, re.MULTILINE)
    assert start is not None, f"{document.name} has no heading {heading!r}"
    end = re.compile(rf"^#{{1,{len(start[1])}}} ", re.MULTILINE).search(text, start.end())
    return text[start.end() : end.start() if end else None]


def rows(text: str) -> Iterator[list[str]]:
    """The cells of every table row in `text`, heads and rulers left out."""
    lines = text.splitlines()
    for at, line in enumerate(lines):
        following = lines[at + 1] if at + 1 < len(lines) else ""
        if line.startswith("|") and not _ruler(line) and not _ruler(following):
            cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
            yield [cell.strip().replace(r"\|", "|") for cell in cells]


def code(cell: str) -> list[str]:
    """What stands between backticks in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def _ruler(line: str) -> bool:
    return re.fullmatch(r"\|[\s:|-]+\|", line.strip()) is not None
