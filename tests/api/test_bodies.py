"""What a body may be: its media types, how long it may get, and how it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest

from sluice.api.http import body as reading
from sluice.api.http import middleware
from sluice.cli.embedded import Urls
from tests.api.support import JSON, PROBLEM, raw, serving, settings

LIMIT = 4096


@pytest.fixture(scope="module")
async def narrow(own_database: str, redis_url: str, worker_id: str) -> AsyncIterator[httpx2.AsyncClient]:
    """An API that takes bodies of 4 KiB."""
    urls = Urls(database_url=own_database, redis_url=redis_url)
    chosen = settings(urls, f"{worker_id}-narrow", unknown_kinds="accept", max_body_bytes=LIMIT)
    async with serving(chosen) as client:
        yield client


def message_of(size: int, wrap: str = '{"message": "%s"}') -> bytes:
    """A valid body of exactly `size` bytes."""
    return (wrap % ("x" * (size - len(wrap) + 2))).encode()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": ""},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json; version=1; charset=latin-1"},
        {"Content-Type": 'application/json; charset="utf-8'},
        {"Content-Type": "application/json; charset"},
        {"Content-Type": "application/json charset=utf-8"},
        {"Content-Type": "application/json, text/plain"},
        {"Content-Type": "application/jsonp"},
        {"Content-Type": "application/problem+json"},
        {"Content-Type": "é".encode("latin-1").decode("latin-1")},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/tasks", "/tasks/batch"])
async def test_what_does_not_call_itself_json_gets_415(
    shared: httpx2.AsyncClient, path: str, headers: dict[str, str]
) -> None:
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]

    response = await shared.post(path, content=b'{"message": "x"}', headers=encoded)

    assert response.status_code == 415
    assert response.headers["content-type"] == PROBLEM


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON ; Charset=UTF-8",
        'application/json;charset="utf-8";',
        "application/json; version=1",
        "application/json;charset=utf-8;profile=x",
        r'application/json; profile="a\";charset=latin-1"; version=1',
        f'application/json; profile="{";charset=latin-1" * 3000}',
    ],
    ids=lambda value: value[:60],
)
async def test_json_in_utf_8_is_taken_whatever_else_the_client_says_of_it(
    narrow: httpx2.AsyncClient, content_type: str
) -> None:
    response = await narrow.post(
        "/tasks", content=b'{"message": "x"}', headers={"Content-Type": content_type}
    )

    assert response.status_code == 201


async def test_a_body_may_be_as_long_as_the_limit_and_no_longer(narrow: httpx2.AsyncClient) -> None:
    assert (await narrow.post("/tasks", content=message_of(LIMIT), headers=JSON)).status_code == 201

    response = await narrow.post("/tasks", content=message_of(LIMIT + 1), headers=JSON)
    assert response.status_code == 413
    assert response.headers["content-type"] == PROBLEM


async def test_a_batch_may_be_sixteen_times_as_long(narrow: httpx2.AsyncClient) -> None:
    def batch(size: int) -> bytes:
        return message_of(size, '{"tasks": [{"message": "%s"}]}')

    assert (await narrow.post("/tasks/batch", content=batch(16 * LIMIT), headers=JSON)).status_code == 201
    assert (await narrow.post("/tasks/batch", content=batch(16 * LIMIT + 1), headers=JSON)).status_code == 413


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", ["/tasks", "/tasks/batch", "/tasks/1", "/nowhere", "/health"])
async def test_a_client_that_sends_first_and_listens_then_reads_its_answer(
    narrow: httpx2.AsyncClient, path: str, *, chunked: bool
) -> None:
    size = 8 << 20
    length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (size, b"x" * size) if chunked else b"x" * size
    method = b"PATCH" if path == "/tasks/1" else b"POST"
    head = b"%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n%s\r\n\r\n"

    answer = await raw(narrow, head % (method, path.encode(), length) + body)

    assert answer.split(b" ")[1] in {b"413", b"404", b"405", b"422"}
    assert b"application/problem+json" in answer


async def test_what_is_thrown_away_has_an_end(
    narrow: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "THROWN_AWAY_BYTES", 1 << 20)
    reader, writer = await asyncio.open_connection(narrow.base_url.host, narrow.base_url.port)
    head = b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n"
    writer.write(head)
    async with asyncio.timeout(20):
        try:
            while not reader.at_eof():
                writer.write(b"x" * (1 << 16))
                await writer.drain()
                await asyncio.sleep(0)
                if reader._buffer:  # type: ignore[attr-defined]
                    break
            answer = await reader.readline()
        finally:
            writer.close()

    assert b"413" in answer


async def test_a_client_that_listens_only_when_it_has_sent_far_too_much_still_reads_its_answer(
    narrow: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (reading, middleware):
        monkeypatch.setattr(module, "THROWN_AWAY_BYTES", 1 << 20)
    size = 32 << 20
    head = b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"

    answer = await raw(narrow, head % size + b"x" * size)

    assert answer.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in answer.lower()


async def test_a_client_that_asks_first_is_spared_the_sending(narrow: httpx2.AsyncClient) -> None:
    head = (
        b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n"
        b"Expect: 100-continue\r\n\r\n"
    )

    answer = await raw(narrow, head)

    assert answer.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in answer.lower()


async def test_a_client_that_leaves_in_the_middle_harms_nobody(shared: httpx2.AsyncClient) -> None:
    for _ in range(5):
        _, writer = await asyncio.open_connection(shared.base_url.host, shared.base_url.port)
        writer.write(
            b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
        )
        await writer.drain()
        writer.close()

    assert (await shared.get("/livez")).status_code == 200
