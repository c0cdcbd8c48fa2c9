"""Bodies that were compressed for the way: gzip is taken within the limits of a body, anything else is 415 in words."""

from __future__ import annotations

import gzip
import json
import zlib

import httpx2
import pytest

from sluice.api.http.encoding import PIECE, Gunzip
from sluice.api.problems.errors import NotGzip
from tests.api.support import JSON, PROBLEM

MESSAGE = {"message": "x" * 1000}
BODY = json.dumps(MESSAGE).encode()
LIMIT = 1 << 20


def encoded(name: str) -> dict[str, str]:
    return {**JSON, "Content-Encoding": name}


@pytest.mark.parametrize("name", ["gzip", "x-gzip", "GZIP"])
@pytest.mark.parametrize(
    "body",
    [gzip.compress(BODY), gzip.compress(BODY[:9]) + gzip.compress(BODY[9:]), gzip.compress(BODY, 0)],
    ids=["one", "two in a row", "stored"],
)
async def test_gzip_is_taken_for_what_it_was_made_of(
    shared: httpx2.AsyncClient, name: str, body: bytes
) -> None:
    response = await shared.post("/tasks", content=body, headers=encoded(name))

    assert response.status_code == 201
    assert response.json()["message"] == MESSAGE["message"]


async def test_a_batch_and_a_change_may_be_gzip_too(shared: httpx2.AsyncClient) -> None:
    batch = gzip.compress(json.dumps({"tasks": [MESSAGE] * 1000}).encode())
    accepted = await shared.post("/tasks/batch", content=batch, headers=encoded("gzip"))
    assert accepted.status_code == 201

    change = gzip.compress(b'{"status": "canceled"}')
    place = f"/tasks/{accepted.json()['ids'][0]}"
    assert (await shared.patch(place, content=change, headers=encoded("gzip"))).status_code == 200


async def test_a_body_of_no_encoding_may_say_so(shared: httpx2.AsyncClient) -> None:
    for name in ("identity", ""):
        assert (await shared.post("/tasks", content=BODY, headers=encoded(name))).status_code == 201


@pytest.mark.parametrize(
    "name", ["br", "deflate", "zstd", "gzip, gzip", "gzip, br", "identity, gzip", "none"]
)
async def test_another_encoding_is_415_and_told_what_is_taken(shared: httpx2.AsyncClient, name: str) -> None:
    response = await shared.post("/tasks", content=BODY, headers=encoded(name))

    assert (response.status_code, response.headers["content-type"]) == (415, PROBLEM)
    assert response.json()["type"] == "urn:sluice:problem:unknown-encoding"
    assert response.headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize(
    "body",
    [BODY, gzip.compress(BODY)[:-1], gzip.compress(BODY) + b"x", zlib.compress(BODY), b"\x1f\x8b", b"\x1f"],
    ids=["JSON", "cut off", "more behind it", "zlib", "a beginning", "less than that"],
)
async def test_what_is_not_gzip_is_400_in_words(shared: httpx2.AsyncClient, body: bytes) -> None:
    response = await shared.post("/tasks", content=body, headers=encoded("gzip"))

    assert (response.status_code, response.headers["content-type"]) == (400, PROBLEM)
    assert response.json()["type"] == "urn:sluice:problem:not-gzip"


async def test_nothing_that_calls_itself_gzip_is_not_json(shared: httpx2.AsyncClient) -> None:
    response = await shared.post("/tasks", content=b"", headers=encoded("gzip"))

    assert response.json()["type"] == "urn:sluice:problem:not-json"


async def test_the_limit_is_that_of_what_it_was_made_of(shared: httpx2.AsyncClient) -> None:
    wrap = len(b'{"payload": {"x": ""}, "kind": "echo"}')
    for size, status in ((LIMIT, 201), (LIMIT + 1, 413)):
        body = b'{"payload": {"x": "%s"}, "kind": "echo"}' % (b"x" * (size - wrap))
        response = await shared.post("/tasks", content=gzip.compress(body), headers=encoded("gzip"))
        assert response.status_code == status


@pytest.fixture(scope="module")
def bombs() -> tuple[bytes, bytes]:
    """A quarter of a gibibyte in one piece; and eight in many, packed once more."""
    return gzip.compress(b" " * (1 << 28)), gzip.compress(gzip.compress(b" " * (1 << 26), 1) * 128, 1)


@pytest.mark.parametrize("path", ["/tasks", "/tasks/batch"])
async def test_a_bomb_is_413(shared: httpx2.AsyncClient, path: str, bombs: tuple[bytes, bytes]) -> None:
    bomb, bomb_in_a_bomb = bombs
    response = await shared.post(path, content=bomb, headers=encoded("gzip"))
    assert response.status_code == 413

    response = await shared.post(path, content=bomb_in_a_bomb, headers=encoded("gzip"))
    assert response.status_code in {400, 413}


def test_a_bomb_is_undone_no_further_than_it_is_looked_at() -> None:
    pieces = Gunzip().pieces(gzip.compress(b" " * (64 << 20)))

    assert [len(next(pieces)) for _ in range(3)] == [PIECE] * 3


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_in_whatever_parts_it_comes_the_whole_is_the_same(size: int, step: int) -> None:
    whole = bytes(range(256)) * (size // 256 + 1)
    whole = whole[:size]
    packed = gzip.compress(whole)
    gunzip = Gunzip()

    made = [piece for at in range(0, len(packed), step) for piece in gunzip.pieces(packed[at : at + step])]
    gunzip.end()

    assert b"".join(made) == whole
    assert all(len(piece) <= PIECE for piece in made)


def test_what_breaks_off_is_told_at_the_end() -> None:
    gunzip = Gunzip()
    assert b"".join(gunzip.pieces(gzip.compress(b"x")[:-2])) == b"x"
    with pytest.raises(NotGzip):
        gunzip.end()
