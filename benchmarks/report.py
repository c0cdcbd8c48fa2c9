"""`python -m benchmarks.report RESULT.json...`: REPORT.md and its pictures from result files, and from nothing else.

The same files make the same bytes. Pictures of an earlier report are removed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.pages import page
from benchmarks.recorded import Unreadable, read

HERE = Path(__file__).parent
_PICTURES = "plots"


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.report", description=(__doc__ or "").partition("\n\n")[0]
    )
    parser.add_argument(
        "results", type=Path, nargs="+", metavar="RESULT.json", help="result files, in any order"
    )
    parser.add_argument(
        "--out", type=Path, default=HERE, metavar="DIRECTORY", help="where REPORT.md goes (benchmarks/)"
    )
    return parser.parse_args(words)


def write(results: list[Path], out: Path) -> Path:
    """Write the report; where it is. Raises Unreadable."""
    from benchmarks.plots import draw  # noqa: PLC0415 - the pages can be tested where nothing draws

    sessions = read(results)
    pictures = out / _PICTURES
    pictures.mkdir(parents=True, exist_ok=True)
    for old in pictures.glob("*.svg"):
        old.unlink()
    drawn = draw(sessions)
    for name, picture in drawn.items():
        (pictures / f"{name}.svg").write_bytes(picture)
    report = out / "REPORT.md"
    report.write_text(page(sessions, {name: f"{_PICTURES}/{name}.svg" for name in drawn}), encoding="utf-8")
    return report


def main() -> int:
    """Write it, and say where it is."""
    options = parse()
    try:
        report = write(options.results, options.out)
    except Unreadable as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as missing:
        if missing.name != "matplotlib":
            raise
        print("report: pictures need matplotlib: pip install -r requirements/report.txt", file=sys.stderr)
        return 1
    print(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
