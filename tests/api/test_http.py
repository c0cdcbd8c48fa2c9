"""What every endpoint shares: paths, methods, and errors as problem documents."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from sluice.cli.embedded import Urls
from tests.api.support import PROBLEM, raw, serving, settings


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/nowhere", "/tasks/", "/tasks/batch/", "/tasks/1/2", "/redoc", "/%00"),
        *("/docs/", "/docs/assets", "/docs/assets/", "/docs/assets/x", "/docs/assets/%00"),
        *("/docs/assets/..%2Fmain.py", "/docs/assets/" + "x" * 300),
    ],
)
async def test_nothing_there_is_a_problem_document(shared: httpx2.AsyncClient, path: str) -> None:
    response = await shared.get(path)

    assert response.status_code == 404
    assert response.headers["content-type"] == PROBLEM
    problem = response.json()
    assert problem["type"] == "urn:sluice:problem:not-found"
    assert problem["status"] == 404


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/tasks", {"GET", "HEAD", "POST"}),
        ("OPTIONS", "/tasks", {"GET", "HEAD", "POST"}),
        ("PUT", "/tasks/019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071", {"GET", "HEAD", "PATCH"}),
        ("POST", "/tasks/019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071", {"GET", "HEAD", "PATCH"}),
        *(
            (method, "/tasks/batch", {"POST"})
            for method in ("GET", "HEAD", "PATCH", "PUT", "DELETE", "TRACE")
        ),
        ("POST", "/health", {"GET", "HEAD"}),
        ("PATCH", "/openapi.json", {"GET", "HEAD"}),
        ("DELETE", "/docs", {"GET", "HEAD"}),
        ("POST", "/docs/assets/start.js", {"GET", "HEAD"}),
        ("OPTIONS", "/docs/assets/start.js", {"GET", "HEAD"}),
    ],
)
async def test_a_method_that_is_not_there_names_those_that_are(
    shared: httpx2.AsyncClient, method: str, path: str, allowed: set[str]
) -> None:
    response = await shared.request(method, path)

    assert response.status_code == 405
    assert response.headers["content-type"] == PROBLEM
    assert sorted(response.headers["allow"].split(", ")) == sorted(allowed)


@pytest.mark.parametrize(
    "path", ["/health", "/livez", "/readyz", "/tasks", "/docs", "/docs/assets/start.js", "/openapi.json"]
)
async def test_head_is_answered_as_get_without_a_body(shared: httpx2.AsyncClient, path: str) -> None:
    head, get = await shared.head(path), await shared.get(path)

    assert head.status_code == get.status_code == 200
    assert head.content == b""
    assert head.headers["content-type"] == get.headers["content-type"]


async def test_what_is_a_fault_of_ours_gets_500_without_its_inside(
    own_database: str, redis_url: str, redis_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr("sluice.db.tasks.Tasks.get", fail)
    urls = Urls(database_url=own_database, redis_url=redis_url)
    async with serving(settings(urls, redis_prefix)) as client:
        response = await client.get("/tasks/019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071")

    assert response.status_code == 500
    assert response.headers["content-type"] == PROBLEM
    assert "secret" not in response.text


@pytest.mark.parametrize(
    "request_",
    [
        b"NONSENSE\r\n\r\n",
        b"GET /tasks HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /tasks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /tasks\xff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET http://[/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /tasks?kind=\xff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ],
)
async def test_what_is_hardly_http_gets_no_500(shared: httpx2.AsyncClient, request_: bytes) -> None:
    answer = await raw(shared, request_)

    assert b" 500 " not in answer.split(b"\r\n")[0]
    assert (await shared.get("/livez")).status_code == 200
