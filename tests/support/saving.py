"""Files that are saved while somebody may read them."""

from __future__ import annotations

from pathlib import Path


def save(path: Path, text: str) -> None:
    """Save `text` in one step, as most editors do: nobody finds half of it."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text)
    part.replace(path)
