"""What is hardly HTTP: the service answers or closes, serves the next one, and makes no 500 of it."""

from __future__ import annotations

import pytest

from sluice.api.http.connection import MOST_HEAD_BYTES
from tests.bounded.processes import ApiProcess
from tests.hostile.saying import BODY, CHUNKED, LAST, LIVEZ, ONE, post, problem, say, statuses

# What is sent, and the statuses that may come back; none: closed without a word.
TRAPS: dict[str, tuple[bytes, set[int]]] = {
    "nothing that is HTTP": (b"\x16\x03\x01\x02\x00\x01\x00", {400}),
    "a NUL before the method": (b"\0" + LAST, {400}),
    "an unknown method": (b"BREW /tasks HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
    "HTTP/3.0": (b"GET /livez HTTP/3.0\r\nHost: x\r\n\r\n", {400}),
    "HTTP/0.9": (b"GET /livez\r\n\r\n", {200, 400}),
    "HTTP/2's preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400}),
    "HTTP/1.0": (b"GET /livez HTTP/1.0\r\n\r\n", {200}),
    "no host": (b"GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n", {200, 400}),
    "bare line feeds": (b"GET /livez HTTP/1.1\nHost: x\nConnection: close\n\n", {200, 400}),
    "an absolute target": (b"GET http://x/livez HTTP/1.1\r\nHost: y\r\nConnection: close\r\n\r\n", {200}),
    "an absolute target with no path": (
        b"GET http://x HTTP/1.1\r\nHost: y\r\nConnection: close\r\n\r\n",
        {400, 404},
    ),
    "an asterisk": (b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", {400, 404, 405}),
    "an authority": (b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", {400, 404, 405}),
    "NUL in the path": (b"GET /tasks\0 HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
    "NUL in the path, quoted": (b"GET /tasks/%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", {422}),
    "no UTF-8 in the path": (
        b"GET /tasks/\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        {400, 422},
    ),
    "no UTF-8 in the path, quoted": (
        b"GET /tasks/%ff%fe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        {422},
    ),
    "no UTF-8 in the query, quoted": (
        b"GET /tasks?kind=%ff%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        {422},
    ),
    "half a quote": (b"GET /tasks?kind=%f HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", {422}),
    "two lengths": (post(BODY, b"Content-Length: 16", b"Content-Length: 3", ONE), {400}),
    "a length and chunks": (post(BODY, b"Content-Length: 16", CHUNKED, ONE), {400}),
    "chunks twice": (post(b"0\r\n\r\n", CHUNKED, CHUNKED, ONE), {400}),
    "an unknown transfer coding": (post(BODY, b"Transfer-Encoding: gzip", ONE), {400}),
    "a length of text": (post(BODY, b"Content-Length: many", ONE), {400}),
    "a negative length": (post(BODY, b"Content-Length: -1", ONE), {400}),
    "a length beyond 64 bits": (post(BODY, b"Content-Length: 99999999999999999999", ONE), {400}),
    "a signed length": (post(BODY, b"Content-Length: +16", ONE), {400}),
    "a chunk that is no number": (post(b"zz\r\n", CHUNKED, ONE), {400}),
    "a chunk longer than it says": (post(b"2\r\n" + BODY + b"\r\n0\r\n\r\n", CHUNKED, ONE), {400}),
    "a chunk beyond 64 bits": (post(b"fffffffffffffffff\r\n", CHUNKED, ONE), {400}),
    "a chunk with an extension": (
        post(b"10;a=b\r\n" + BODY + b"\r\n0\r\n\r\n", CHUNKED, ONE),
        {201},
    ),
    "a trailer": (post(b"10\r\n" + BODY + b"\r\n0\r\nA: b\r\n\r\n", CHUNKED, ONE), {400}),
    "a trailer that is a header": (
        post(b"10\r\n" + BODY + b"\r\n0\r\nContent-Type: text/plain\r\n\r\n", CHUNKED, ONE),
        {400},
    ),
    "a trailer without an end": (
        post(b"10\r\n" + BODY + b"\r\n0\r\nA: " + b"a" * (200 << 10), CHUNKED),
        {400},
    ),
    "50,000 trailers": (post(b"10\r\n" + BODY + b"\r\n0\r\n" + b"a:b\r\n" * 50_000, CHUNKED), {400}),
    "a chunk's extension without an end": (post(b"10;" + b"a" * (200 << 10), CHUNKED), {400}),
    "100 headers": (LIVEZ[:-2] + b"a:b\r\n" * 98 + b"Connection: close\r\n\r\n", {200}),
    "101 headers": (LIVEZ[:-2] + b"a:b\r\n" * 99 + b"Connection: close\r\n\r\n", {431}),
    "a header without a colon": (b"GET /livez HTTP/1.1\r\nHost x\r\n\r\n", {400}),
    "a header with a space before its colon": (b"GET /livez HTTP/1.1\r\nHost : x\r\n\r\n", {400}),
    "a folded header": (b"GET /livez HTTP/1.1\r\nHost: x\r\n y\r\nConnection: close\r\n\r\n", {200, 400}),
    "a NUL in a header": (b"GET /livez HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n", {400}),
    "no UTF-8 in a header": (b"GET /livez HTTP/1.1\r\nHost: \xff\r\nConnection: close\r\n\r\n", {200, 400}),
    "a websocket": (
        b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n",
        {200},
    ),
    "an offer of HTTP/2 with a body": (
        post(BODY, b"Content-Length: 16", b"Connection: Upgrade, HTTP2-Settings, close", b"Upgrade: h2c"),
        {201},
    ),
    "a body after expecting": (post(BODY, b"Content-Length: 16", b"Expect: 100-continue", ONE), {100, 201}),
    "an expectation of anything": (
        post(BODY, b"Content-Length: 16", b"Expect: the-unexpected", ONE),
        {201, 417},
    ),
    "a head of 200 KiB": (b"GET /livez HTTP/1.1\r\nHost: x\r\nA: " + b"a" * (200 << 10), {431}),
    "a target of 200 KiB": (b"GET /" + b"a" * (200 << 10), {431}),
    "a whole head of 70 KiB": (LIVEZ[:-2] + b"A: " + b"a" * (70 << 10) + b"\r\n\r\n", {431}),
    "50,000 headers": (LIVEZ[:-2] + b"a:b\r\n" * 50_000 + b"\r\n", {431}),
    "blank lines without an end": (b"\r\n" * (200 << 10), {431}),
}


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("bytewise", [False, True], ids=["at once", "in pieces"])
async def test_what_is_hardly_http_is_answered_or_closed_and_the_next_one_is_served(
    api: ApiProcess, trap: str, bytewise: bool
) -> None:
    sent, allowed = TRAPS[trap]
    step = max(1, len(sent) // 64) if bytewise else len(sent)

    answer = await say(api, *(sent[at : at + step] for at in range(0, len(sent), step)))

    assert set(statuses(answer)) <= allowed, answer[:300]
    if answer and statuses(answer)[-1] >= 400:
        problem(answer)
    assert answer or (allowed & {400, 431} and (bytewise or len(sent) > MOST_HEAD_BYTES))
    assert await api.alive()
    assert not any("Traceback" in line for line in api.said)
