"""The uvicorn that is installed has inside what our connections and our server take from there."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from sluice.api.http import uvicorn_inside as inside

ROOT = Path(__file__).parents[2]


def missing(of: type, attributes: tuple[str, ...], methods: Mapping[str, tuple[str, ...]]) -> list[str]:
    """What `of` lacks: attributes are set somewhere in its source, methods take these parameters."""
    source = inspect.getsource(of)
    found = [name for name in attributes if not re.search(rf"\bself\.{name}\b[^=\n]*=[^=]", source)]
    for name, parameters in methods.items():
        method: Any = getattr(of, name, None)
        if method is None or tuple(inspect.signature(method).parameters)[1:] != parameters:
            found.append(name)
    return found


def test_its_protocol_is_as_our_connection_takes_it() -> None:
    assert missing(inside.HttpToolsProtocol, *inside.OF_PROTOCOL) == []
    assert missing(inside.RequestResponseCycle, inside.OF_CYCLE, {}) == []
    assert missing(inside.FlowControl, (), inside.OF_FLOW) == []
    assert inside.STATUS_LINE[200] == b"HTTP/1.1 200 OK\r\n"


def test_its_server_is_as_ours_takes_it() -> None:
    assert missing(uvicorn.Server, *inside.OF_SERVER) == []


@pytest.mark.parametrize(
    ("attributes", "methods"),
    [(("no_such_thing",), {}), ((), {"on_body": ("piece",)}), ((), {"on_trailer": ()})],
    ids=["attribute", "parameter", "method"],
)
def test_what_has_moved_is_named(attributes: tuple[str, ...], methods: dict[str, tuple[str, ...]]) -> None:
    assert len(missing(inside.HttpToolsProtocol, attributes, methods)) == 1


def test_nobody_takes_it_from_elsewhere() -> None:
    others = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "api").rglob("*.py")
        if "uvicorn.protocols" in path.read_text() and path.stem != "uvicorn_inside"
    ]
    assert others == []
