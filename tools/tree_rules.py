"""The rules of the tree that no linter knows, each reported with its file and line.

Refuses to judge style, types and layers: ruff, mypy and import-linter do. Usage: tree_rules.py [ROOT]; prints one
line per finding and exits 1 when there is any.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

Node = TypeVar("Node", bound=ast.AST)

PRODUCT = ("api", "cli", "consumer", "core", "db")
OTHERS = ("alembic", "benchmarks", "deploy", "tests", "tools")

# Read in one sitting.
MAX_LINES = 250

# Where the environment may be read. Elsewhere a line says why with a comment `environment: ...`.
SETTINGS = "core/settings.py"
LOOP = re.compile(r"loop\b|get_(running|event)_loop\(\)$")
CAST_AFTER_PARAMETER = re.compile(r"(?<![:\w]):[A-Za-z_]\w*::")


def main(root: Path) -> int:
    """Print every finding under root; 1 when there is one, else 0."""
    found = sorted(findings(root))
    for line in found:
        print(line)
    return 1 if found else 0


def findings(root: Path) -> Iterator[str]:
    """Yield `path:line: what is wrong and what to do` for everything that breaks a rule."""
    yield from shadowing_packages(root)
    yield from addresses_in_locks(root)
    for top in (*PRODUCT, *OTHERS):
        for path in sorted((root / top).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            source = path.read_text(encoding="utf-8")
            yield from too_long(name, source)
            yield from ownerless_tasks(name, source)
            if top in PRODUCT:
                yield from environment_readers(name, source)
        for path in sorted((root / top).rglob("*.sql")):
            name = path.relative_to(root).as_posix()
            yield from casts_after_parameters(name, path.read_text(encoding="utf-8"))


def too_long(name: str, source: str) -> Iterator[str]:
    """A file that is read in one sitting has an end in sight."""
    lines = source.count("\n")
    if lines > MAX_LINES:
        yield f"{name}:{MAX_LINES}: {lines} lines, at most {MAX_LINES}: it has more than one duty, split it"


def shadowing_packages(root: Path) -> Iterator[str]:
    """An __init__.py in alembic/ hides the library of that name; one in tests/ breaks importlib mode."""
    for top in ("alembic", "tests"):
        for path in sorted((root / top).rglob("__init__.py")):
            yield f"{path.relative_to(root).as_posix()}:1: must not exist, {top}/ is no package"


def addresses_in_locks(root: Path) -> Iterator[str]:
    """A lock is good for every index, so it names none."""
    for path in sorted((root / "requirements").glob("*.txt")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if "://" in line or line.startswith(("--index", "--extra-index", "--find-links", "-i ", "-f ")):
                yield f"{path.relative_to(root).as_posix()}:{number}: names an address, run `make lock`"


def ownerless_tasks(name: str, source: str) -> Iterator[str]:
    """loop.create_task is the spelling that ruff's banned-api cannot see."""
    for node in _nodes(source, ast.Call):
        call = node.func
        if (
            isinstance(call, ast.Attribute)
            and call.attr == "create_task"
            and LOOP.search(ast.unparse(call.value))
            and not _says(source, node.lineno, "owner")
        ):
            yield (
                f"{name}:{node.lineno}: a bare task is a lost one: use a TaskGroup, or say who keeps it in a "
                "comment `owner: ...` on this line"
            )


def environment_readers(name: str, source: str) -> Iterator[str]:
    """Settings are read once, in one place."""
    if name == SETTINGS:
        return
    for node in _nodes(source, ast.Attribute):
        spelled = ast.unparse(node)
        if spelled in {"os.environ", "os.getenv", "os.environb"} and not _says(
            source, node.lineno, "environment"
        ):
            yield (
                f"{name}:{node.lineno}: only {SETTINGS} reads the environment; handing it to a child process is "
                "said in a comment `environment: ...` on this line"
            )


def casts_after_parameters(name: str, source: str) -> Iterator[str]:
    """SQLAlchemy's text() reads :ids::uuid[] as something else: CAST(:ids AS uuid[]) is what it means."""
    for number, line in enumerate(source.splitlines(), 1):
        if CAST_AFTER_PARAMETER.search(line):
            yield f"{name}:{number}: a parameter before `::` is misread, write CAST(:name AS type)"


def _nodes(source: str, kind: type[Node]) -> Iterator[Node]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, kind):
            yield node


def _says(source: str, line: int, word: str) -> bool:
    return f"# {word}: " in source.splitlines()[line - 1]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1]))
