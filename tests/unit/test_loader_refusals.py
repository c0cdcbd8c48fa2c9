"""What cannot be called as a handler is refused at the start, in one line with its file and line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sluice.consumer.handlers.loader import load
from sluice.consumer.handlers.registry import Mode
from sluice.core.errors import ConfigurationError
from sluice.core.task import Kind
from tests.unit.loading import write

BEFORE = "import functools\nfrom pydantic import BaseModel\nfrom sluice import handler\n"
NOWHERE = "would never be found: make it a function of the module under a name of its own"
BY_NAME = "cpu_bound is for a function that its module holds under its own name"
TAKES = r"must take \(ctx, payload\): "
HIDDEN = "def hides(f):\n def around(*a): return f(*a)\n return around\n"
HANDS_ON = "def hands_on(f):\n @functools.wraps(f)\n def around(*a): return f(*a)\n return around\n"
ADDS = "def adds(f):\n @functools.wraps(f)\n def around(ctx, payload): return f(ctx, payload, 1)\n return around\n"
CHILD = "@handler('k', cpu_bound=True)\n"
LOCAL_MODEL = "def make():\n class M(BaseModel): n: int = 1\n return M\nM = make()\n"

REFUSED = {
    "made in a function": (
        "def make():\n @handler('k', cpu_bound=True)\n def f(ctx, payload): ...\n return f\nf = make()",
        rf"make\.<locals>\.f .*:5\): {BY_NAME}",
    ),
    "kept by nobody": (
        "def make():\n @handler('k')\n def f(ctx, payload): ...\nmake()",
        rf"make\.<locals>\.f .*:5\) {NOWHERE}",
    ),
    "a method": (
        "class A:\n @handler('k')\n async def f(self, ctx, payload): ...",
        rf"A\.f .*:5\) {NOWHERE}",
    ),
    "a static method": (
        "class A:\n @staticmethod\n @handler('k')\n def f(ctx, payload): ...",
        rf"A\.f .*:5\) {NOWHERE}",
    ),
    "a marked static method": (
        "class A:\n @handler('k')\n @staticmethod\n def f(ctx, payload): ...",
        rf"A\.f .*:5\) {NOWHERE}",
    ),
    "behind a decorator": (
        f"{HIDDEN}@hides\n@handler('k')\nasync def f(ctx, payload): ...",
        rf"f .*:7\) {NOWHERE}",
    ),
    "defined again": (
        "@handler('k')\ndef _(ctx, payload): ...\n@handler('l')\ndef _(ctx, payload): ...",
        rf"_ .*:4\) {NOWHERE}",
    ),
    "a class": (
        "@handler('k')\nclass A:\n def __init__(self, ctx, payload): ...",
        r"A .*:4\) is no function",
    ),
    "a payload by keyword": (
        "@handler('k')\nasync def f(ctx, *, payload): ...",
        rf"f .*:4\) {TAKES}too many",
    ),
    "no payload": ("@handler('k')\nasync def f(ctx): ...", rf"f .*:4\) {TAKES}too many"),
    "a third parameter": ("@handler('k')\ndef f(ctx, payload, more): ...", rf"f .*:4\) {TAKES}missing"),
    "an object without a payload": (
        "class A:\n async def __call__(self, ctx): ...\nf = handler('k')(A())",
        rf"A\.__call__ .*:5\) {TAKES}too many",
    ),
    "a decorator that hands on": (
        f"{HANDS_ON}@handler('k')\n@hands_on\ndef f(ctx, *, payload): ...",
        rf"f .*:8\) {TAKES}too many",
    ),
    "a generator": ("@handler('k')\ndef f(ctx, payload): yield", r"f .*:4\) yields"),
    "an asynchronous generator": ("@handler('k')\nasync def f(ctx, payload): yield", r"f .*:4\) yields"),
    "a lambda for a child": (
        "f = handler('k', cpu_bound=True)(lambda ctx, payload: 1)",
        rf"<lambda> .*:4\): {BY_NAME}",
    ),
    "a partial for a child": (
        "def f(more, ctx, payload): ...\ng = handler('k', cpu_bound=True)(functools.partial(f, 1))",
        rf"f .*:4\): {BY_NAME}",
    ),
    "an async def behind a decorator for a child": (
        f"{HANDS_ON}@hands_on\n{CHILD}async def f(ctx, payload): ...",
        r"f .*:8\): cpu_bound is for `def`, not for `async def`",
    ),
    "a marked decorator around an async def for a child": (
        f"{HANDS_ON}{CHILD}@hands_on\n@hands_on\nasync def f(ctx, payload): ...",
        r"f .*:8\): cpu_bound is for `def`, not for `async def`",
    ),
    "a model that no child finds": (
        f"{LOCAL_MODEL}@handler('k', cpu_bound=True)\ndef f(ctx, payload: M): ...",
        r"f .*:8\): its payload cannot travel to a child process",
    ),
    "a part of a model that no child finds": (
        f"{LOCAL_MODEL}class N(BaseModel):\n m: list[M]\n{CHILD}def f(ctx, payload: N): ...",
        r"f .*:10\): its payload cannot travel to a child process",
    ),
    "marked twice": (
        "@handler('k')\n@handler('k', timeout=1)\ndef f(ctx, payload): ...",
        r"f .*:4\) is marked twice for the kind 'k'",
    ),
    "an annotation that raises": (
        "@handler('k')\ndef f(ctx, payload: 'functools.nothing'): ...",
        r"f .*:4\): its payload's type cannot be used: module 'functools' has no",
    ),
    "an annotation that is none": (
        "@handler('k')\ndef f(ctx, payload: '1 +'): ...",
        r"f .*:4\): its payload's type cannot be used: ",
    ),
}
SERVED = {
    "any number": ("@handler('k')\nasync def f(*args): ...", Mode.LOOP),
    "a partial": (
        "async def f(more, ctx, payload): ...\ng = handler('k')(functools.partial(f, 1))",
        Mode.LOOP,
    ),
    "an object": (
        "class A:\n async def __call__(self, ctx, payload: dict): ...\nf = handler('k')(A())",
        Mode.LOOP,
    ),
    "a bound method": (
        "class A:\n @handler('k')\n async def f(self, ctx, payload): ...\nf = A().f",
        Mode.LOOP,
    ),
    "a lambda": ("f = handler('k')(lambda ctx, payload: 1)", Mode.THREAD),
    "a decorator that adds a parameter": (
        f"{ADDS}@adds\n@handler('k')\ndef f(ctx, payload, more): ...",
        Mode.THREAD,
    ),
    "a function for a child": ("@handler('k', cpu_bound=True)\ndef f(ctx, payload): ...", Mode.PROCESS),
    "a decorated function for a child": (
        f"{HANDS_ON}@hands_on\n@handler('k', cpu_bound=True)\ndef f(ctx, payload): ...",
        Mode.PROCESS,
    ),
    "a model for a child": (
        f"class M(BaseModel):\n m: 'M | None' = None\n{CHILD}def f(ctx, payload: M): ...",
        Mode.PROCESS,
    ),
}


@pytest.mark.parametrize(("text", "why"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_called_as_a_handler_is_refused(here: Path, text: str, why: str) -> None:
    write(here / "mine.py", BEFORE + text)
    with pytest.raises(ConfigurationError) as refused:
        load(["mine"])
    assert re.search(rf"handler mine\.{why}", str(refused.value)), refused.value
    assert f"({here}/mine.py:" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(("text", "mode"), SERVED.values(), ids=SERVED)
def test_what_can_be_called_as_a_handler_is_served(here: Path, text: str, mode: Mode) -> None:
    write(here / "mine.py", BEFORE + text)
    assert load(["mine"])[Kind("k")].mode is mode


def test_what_a_module_that_is_not_named_has_marked_is_left_alone(here: Path) -> None:
    write(here / "other.py", f"{BEFORE}class A:\n @handler('k')\n def f(self, ctx, payload): ...")
    write(here / "mine.py", f"{BEFORE}import other\n@handler('mine')\ndef f(ctx, payload): ...")
    assert "k" not in load(["mine"])


@pytest.mark.parametrize("marked", ["len", "functools.reduce", "A().f"])
def test_what_cannot_carry_a_mark_is_told_where_it_is_marked(here: Path, marked: str) -> None:
    write(
        here / "mine.py", f"{BEFORE}class A:\n def f(self, ctx, payload): ...\nf = handler('k')({marked})\n"
    )
    with pytest.raises(ConfigurationError, match=r"cannot carry a mark: mark a function \(.*/mine\.py:6\)$"):
        load(["mine"])
