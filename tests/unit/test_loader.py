from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sluice.consumer.handlers.loader import BUILT_IN, load
from sluice.core.errors import ConfigurationError
from sluice.core.task import Kind
from tests.unit.loading import HANDLER, write

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("here")


def test_without_modules_there_are_the_built_in_handlers() -> None:
    assert set(load(())) == {"echo", "sleep", "fail"}
    assert {found.function.__module__ for found in load(()).values()} == {BUILT_IN}


def test_a_module_in_the_current_directory_is_found(here: Path) -> None:
    write(here / "shop" / "tasks.py", kind="shop.sell")
    assert load(["shop.tasks"])[Kind("shop.sell")].function.__module__ == "shop.tasks"


def test_the_current_directory_comes_last_on_the_path_and_once(here: Path) -> None:
    write(here / "mine.py")
    write(here / "json.py", "raise AssertionError('in the way')")

    load(["mine"])
    load(["mine"])

    assert sys.path[-1] == str(here)
    assert sys.path.count(str(here)) == 1


def test_a_module_that_is_not_there_is_named_with_where_it_was_sought(here: Path) -> None:
    for name in ("nowhere", "nowhere.tasks"):
        with pytest.raises(ConfigurationError) as refused:
            load([name])
        assert str(refused.value) == f"HANDLERS: there is no module {name} on the import path or in {here}"


def test_a_module_inside_of_a_module_is_not_there(here: Path) -> None:
    write(here / "plain.py")
    with pytest.raises(ConfigurationError, match=r"there is no module plain\.tasks on"):
        load(["plain.tasks"])


def test_a_package_whose_name_is_ours_is_told_so(here: Path) -> None:
    write(here / "sluice" / "tasks.py")
    with pytest.raises(ConfigurationError, match="sluice is the name of Sluice itself: rename your package"):
        load(["sluice.tasks_of_mine"])


def test_a_module_that_a_module_lacks_is_named_beside_it(here: Path) -> None:
    write(here / "mine.py", "import missing_dependency.part")
    with pytest.raises(
        ConfigurationError,
        match=r"^HANDLERS: mine needs the module missing_dependency, which is missing \(.*/mine\.py:1\)$",
    ):
        load(["mine"])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1 / 0", r"ZeroDivisionError: division by zero \(.*/mine\.py:1\)$"),
        ("def", "SyntaxError: "),
        ("1\n(", r"SyntaxError: '\(' was never closed \(.*/mine\.py:2\)$"),
        ("1\nexec('(')", r"SyntaxError: '\(' was never closed \(<string>, line 1\) \(.*/mine\.py:2\)$"),
        ("from json import nothing", "ImportError: cannot import name 'nothing'"),
        (
            "from sluice import handler\nhandler('two words')",
            r"ValueError: a kind matches .* \(.*/mine\.py:2\)$",
        ),
        ("raise ValueError('two\\nlines')", r"ValueError: two lines \("),
        ("import sys; sys.exit(0)", r"SystemExit: 0 \("),
    ],
)
def test_a_module_that_raises_on_import_is_named_with_what_it_raised(here: Path, text: str, why: str) -> None:
    write(here / "mine.py", text)
    with pytest.raises(ConfigurationError, match=f"^HANDLERS: importing mine raised {why}"):
        load(["mine"])


@pytest.mark.parametrize(
    "text",
    [
        "signal.raise_signal(signal.SIGTERM)",
        "class Named:\n def __set_name__(self, *_): signal.raise_signal(signal.SIGTERM)\nclass Made:\n name = Named()",
    ],
    ids=["in the module", "while a class is made"],
)
def test_a_signal_during_an_import_is_no_mistake_of_the_module(here: Path, text: str) -> None:
    """Raised, it would be a RuntimeError of the second one before Python 3.12."""
    write(here / "mine.py", f"import signal\n{text}")
    code = (
        "from sluice.consumer.handlers.loader import load; "
        "from sluice.core.process.command_line import end_at_signals; end_at_signals(); load(['mine'])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(here), str(ROOT)))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_module_without_a_handler_is_a_mistake(here: Path) -> None:
    write(here / "mine.py", "async def mine(ctx, payload): ...")
    with pytest.raises(
        ConfigurationError, match="HANDLERS: module mine holds no function marked with @handler"
    ):
        load(["mine"])


def test_a_kind_that_two_functions_take_is_named_with_both_of_them(here: Path) -> None:
    write(here / "one.py")
    write(here / "two.py")
    with pytest.raises(ConfigurationError) as refused:
        load(["one", "two"])
    assert str(refused.value) == (
        f"HANDLERS: the kind 'mine' is taken twice: by one.mine ({here}/one.py:4) and by two.mine ({here}/two.py:4)"
    )


def test_a_built_in_kind_is_taken_too(here: Path) -> None:
    write(here / "mine.py", kind="echo")
    with pytest.raises(
        ConfigurationError, match=rf"'echo' is taken twice: by {BUILT_IN}\.echo \(.*\) and by mine\.mine \("
    ):
        load(["mine"])


def test_a_handler_may_be_imported_from_elsewhere_and_go_by_two_names(here: Path) -> None:
    write(here / "one.py")
    write(here / "two.py", "from one import mine\nalias = mine")

    assert set(load(["one", "two"])) >= {"mine"}
    assert set(load(["two"])) >= {"mine"}


def test_values_that_answer_to_every_name_are_left_alone(here: Path) -> None:
    write(
        here / "mine.py",
        inspect.cleandoc("""
            from unittest.mock import MagicMock, call

            class Proxy:
                def __call__(self): ...
                def __getattr__(self, name):
                    raise RuntimeError("outside of a context")

            proxy, mock = Proxy(), MagicMock()
        """)
        + HANDLER.format(kind="mine", name="mine"),
    )
    assert set(load(["mine"])) >= {"mine"}


def test_a_handler_that_cannot_be_one_is_named(here: Path) -> None:
    write(here / "mine.py", "from sluice import handler\n@handler('mine')\nasync def lonely(ctx): ...")
    with pytest.raises(ConfigurationError, match=r"^handler mine\.lonely \(.*\) must take \(ctx, payload\)"):
        load(["mine"])
