"""Whether a program printed what a document says that it prints.

What differs from run to run (ids, times, durations, process numbers, widths of columns) may differ. An id is the same
wherever the document shows the same one. A line of three dots stands for any lines, three dots in a line for any text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"

# What is looked for in a document's text, and the pattern that stands for it. The first that fits is taken.
_VARIES: tuple[tuple[str, str], ...] = (
    (r"^\.\.\.\n", r"(?:.*\n)*?"),
    (r"\.\.\.", r".*?"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"),
    (r"\b\d+\.\d+ s\b", r"\d+\.\d+ s"),
    (r"\b[\d,]+ tasks/s", r"[\d,]+ tasks/s"),
    (r"\bprocess \d+", r"process \d+"),
    (r"\bsluice \d+\.\d+\.\d+", r"sluice \d+\.\d+\.\d+"),
    (r"/tmp/sluice-\d+-[0-9a-f]{12}", r"/tmp/sluice-\d+-[0-9a-f]{12}"),
    (r"(?<= )\d+[smhd](?= )", r"\d+[smhd]"),
    (r"(?<=\d/\d) {2,}", r" +"),
    (r'(?<="host": )"[^"]+"', r'"[^"]+"'),
    (r'(?<="pid": )\d+', r"\d+"),
    (r"─+", "─+"),
    (r" {2,}", " +"),
)
_TOKEN = re.compile(
    "|".join([f"(?P<id>{ID})", *(f"(?P<v{n}>{found})" for n, (found, _) in enumerate(_VARIES))]), re.MULTILINE
)


def pattern(text: str, known: Mapping[str, str]) -> tuple[re.Pattern[str], dict[str, str]]:
    """What fits `text`; `known` maps ids of the document to real ones.

    Also which group of a match holds the real one of an id that is new.
    """
    new: dict[str, str] = {}
    parts: list[str] = []
    end = 0
    for token in _TOKEN.finditer(text):
        parts.append(re.escape(text[end : token.start()]))
        parts.append(_one(token, known, new))
        end = token.end()
    parts.append(re.escape(text[end:]))
    return re.compile("".join(parts)), {group: shown for shown, group in new.items()}


def _one(token: re.Match[str], known: Mapping[str, str], new: dict[str, str]) -> str:
    shown = token["id"]
    if shown is None:
        number = next(n for n in range(len(_VARIES)) if token[f"v{n}"] is not None)
        return _VARIES[number][1]
    if shown in known:
        return re.escape(known[shown])
    if shown in new:
        return f"(?P={new[shown]})"
    new[shown] = f"id{len(new)}"
    return f"(?P<{new[shown]}>{ID})"


def substituted(text: str, known: Mapping[str, str]) -> str:
    """`text` with the document's ids replaced by the real ones."""
    return re.sub(ID, lambda found: known.get(found[0], found[0]), text)
