from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, ValidationError

from sluice import Context, handler
from sluice.consumer.handlers.mark import MARK
from sluice.consumer.handlers.registry import Handler, Mode, handlers_of
from sluice.core.errors import ConfigurationError
from sluice.core.task import JsonText

if TYPE_CHECKING:
    from typing import Never as ForTypeCheckersAlone


class Invoice(BaseModel):
    number: int


def one(function: Callable[..., Any], **settings: Any) -> Handler:
    """What a mark makes of `function`, which keeps none."""
    try:
        [found] = handlers_of(handler("k", **settings)(function))
        return found
    finally:
        delattr(function, MARK)


async def on_loop(ctx: Context, payload: dict[str, Any]) -> None: ...
def in_thread(ctx: Context, payload: Invoice) -> None: ...
async def unannotated(ctx, payload): ...  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
async def any_mapping(ctx: Context, payload: Mapping[str, int]) -> None: ...
async def anything(ctx: Context, payload: Any, more: int = 1, **others: int) -> None: ...
async def partly_known(ctx: ForTypeCheckersAlone, payload: Invoice) -> list[ForTypeCheckersAlone]:
    return []


async def unknown(ctx: Context, payload: ForTypeCheckersAlone) -> None: ...
async def not_a_payload(ctx: Context, payload: Callable[[], None]) -> None: ...
async def too_few(ctx: Context) -> None: ...
async def too_many(ctx: Context, payload: Invoice, more: int) -> None: ...
async def needs_a_keyword(ctx: Context, payload: Invoice, *, more: int) -> None: ...


def test_the_mark_changes_nothing_about_the_function_and_keeps_what_it_was_told() -> None:
    async def send(ctx: Context, payload: Invoice) -> None: ...

    assert handler("invoice.send", max_attempts=8, timeout=30)(send) is send
    [found] = handlers_of(send)
    assert (found.kind, found.max_attempts, found.timeout) == ("invoice.send", 8, 30)
    assert found.function is send


def test_one_function_may_serve_several_kinds() -> None:
    async def send(ctx: Context, payload: Invoice) -> None: ...

    handler("a")(handler("b", timeout=1)(send))

    assert {found.kind: found.timeout for found in handlers_of(send)} == {"a": None, "b": 1}


def test_a_decorator_around_a_handler_is_what_is_called() -> None:
    def logged(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def around(*args: Any) -> Any:
            return await function(*args)

        return around

    @logged
    @handler("k")
    async def send(ctx: Context, payload: Invoice) -> None: ...

    [found] = handlers_of(send)
    assert (found.function, found.mode) == (send, Mode.LOOP)
    assert found.decode(JsonText('{"number":7}')) == Invoice(number=7)


@pytest.mark.parametrize(
    ("function", "cpu_bound", "mode"),
    [(on_loop, False, Mode.LOOP), (in_thread, False, Mode.THREAD), (in_thread, True, Mode.PROCESS)],
)
def test_a_handler_runs_where_it_says(function: Callable[..., Any], cpu_bound: bool, mode: Mode) -> None:
    assert one(function, cpu_bound=cpu_bound).mode is mode


def test_a_coroutine_cannot_be_cpu_bound() -> None:
    with pytest.raises(ConfigurationError, match=r"on_loop \(.*\): cpu_bound is for `def`"):
        one(on_loop, cpu_bound=True)


@pytest.mark.parametrize("function", [on_loop, unannotated, any_mapping, anything])
def test_a_plain_payload_is_decoded_and_has_no_schema(function: Callable[..., Any]) -> None:
    found = one(function)
    assert found.schema is None
    assert found.decode(JsonText('{"a":[1,null]}')) == {"a": [1, None]}


@pytest.mark.parametrize("function", [in_thread, partly_known])
def test_a_model_is_validated_and_its_schema_published(function: Callable[..., Any]) -> None:
    found = one(function)

    assert found.decode(JsonText('{"number":7}')) == Invoice(number=7)
    with pytest.raises(ValidationError):
        found.decode(JsonText('{"number":"seven"}'))
    assert json.loads(found.schema or "")["required"] == ["number"]


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (too_few, r"must take \(ctx, payload\)"),
        (too_many, r"must take \(ctx, payload\)"),
        (needs_a_keyword, r"must take \(ctx, payload\)"),
        (unknown, r"its payload's type cannot be used: name 'ForTypeCheckersAlone' is not defined"),
        (not_a_payload, r"its payload's type cannot be used: "),
    ],
)
def test_what_cannot_be_a_handler_is_refused_by_its_name(function: Callable[..., Any], why: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^handler .*\.{function.__name__} \(.*\.py:\d+\):? {why}"):
        one(function)


@pytest.mark.parametrize("kind", ["", "two words", "ä", "x" * 129, "a\n", "a/b"])
def test_a_kind_is_checked_where_it_is_written(kind: str) -> None:
    with pytest.raises(ValueError, match="a kind matches"):
        handler(kind)


@pytest.mark.parametrize(
    "setting",
    [
        {"max_attempts": 0},
        {"max_attempts": 101},
        {"max_attempts": 2.5},
        {"max_attempts": 2.0},
        {"max_attempts": True},
        {"max_attempts": "3"},
        {"timeout": 0.0009},
        {"timeout": 604801.0},
        {"timeout": float("nan")},
        {"timeout": True},
        {"timeout": "30"},
    ],
    ids=str,
)
def test_a_setting_is_checked_where_it_is_written(setting: dict[str, Any]) -> None:
    [(name, value)] = setting.items()
    with pytest.raises(ValueError, match=f"^{name} is .*, not {value!r}$"):
        handler("k", **setting)
