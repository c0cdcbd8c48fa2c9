"""A request's body as bytes: bounded, and JSON by its own account. Undoes gzip, and decodes no JSON."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, NamedTuple

from starlette.requests import ClientDisconnect

from sluice.api.http.body_budget import SMALL_BYTES
from sluice.api.http.encoding import decoder
from sluice.api.problems.errors import BodyTooLarge, NotJsonMedia

if TYPE_CHECKING:
    from starlette.requests import Request

    from sluice.api.http.body_budget import Share
    from sluice.api.http.encoding import Gunzip

THROWN_AWAY_BYTES = 64 << 20
"""How much of an over-long body is read for nothing, so that the client gets to read its answer."""

_JSON = "application/json"
_PLAIN = _JSON.encode()
_UTF_8 = frozenset({"utf-8", "utf8", '"utf-8"', '"utf8"'})
_PARAMETER = re.compile(r'(?:[^;"]+|"(?:[^"\\]|\\.)*"?)+')
"""What stands between semicolons outside of quotes. It takes whatever comes, so that it never goes back."""


async def read(request: Request, limit: int, share: Share) -> bytes | bytearray:
    """The whole body, of at most `limit` bytes once it is decoded.

    Raises BodyTooLarge once it has read the rest for nothing (THROWN_AWAY_BYTES at most), NotJsonMedia,
    UnknownEncoding, NotGzip, Overloaded when the share has no room for it, and ClientDisconnect when the client leaves
    before the end.
    """
    told = _told(request)
    if told.asks and told.length > limit:
        raise BodyTooLarge(limit, unread=True)  # the client asks before it sends
    gunzip = decoder(told.encoding) if told.encoding else None
    expected = told.length if told.length and gunzip is None else limit
    if SMALL_BYTES < told.length <= limit:
        await share.expect(expected)
    kept = _Kept(limit, share, expected)
    more = True
    while more and kept.thrown_away <= THROWN_AWAY_BYTES:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        chunk: bytes = message.get("body", b"")
        if gunzip is None or kept.thrown_away:
            await kept.add(chunk)
        else:
            await kept.add_decoded(gunzip, chunk)
    if kept.thrown_away:
        raise BodyTooLarge(limit, unread=more)
    if gunzip is not None:
        gunzip.end()
    share.arrived()
    if told.media != _PLAIN and not _is_json(told.media.decode("latin-1")):
        raise NotJsonMedia
    return kept.body


class _Kept:
    """What has come of a body so far, until it is longer than it may be. `expected`: bytes that it may come to."""

    __slots__ = ("_expected", "_limit", "_share", "body", "thrown_away")

    def __init__(self, limit: int, share: Share, expected: int) -> None:
        self._limit = limit
        self._share = share
        self._expected = expected
        self.body: bytes | bytearray = b""
        self.thrown_away = 0

    async def add(self, piece: bytes) -> None:
        """Keep the next piece, or throw it away. Raises Overloaded."""
        size = len(self.body) + len(piece)
        if self.thrown_away or size > self._limit or self._expected > self._limit:
            self.thrown_away += size
            self.body = b""
            self._share.arrived()
            return
        if size > SMALL_BYTES:
            await self._share.expect(self._expected)
        self._share.hold(size)
        if not self.body:
            self.body = piece
            return
        # In place from the second piece on: adding bytes anew each time would be quadratic.
        self.body = self.body if isinstance(self.body, bytearray) else bytearray(self.body)
        self.body += piece

    async def add_decoded(self, gunzip: Gunzip, chunk: bytes) -> None:
        """The same for what `chunk` was made of, no further than the body may be long. Raises NotGzip."""
        for piece in gunzip.pieces(chunk):
            await self.add(piece)
            if self.thrown_away:
                return
            await asyncio.sleep(0)  # others have their turn


class _Told(NamedTuple):
    """What the head says of the body. `length`: 0 when it does not say."""

    media: bytes
    encoding: bytes
    length: int
    asks: bool


def _told(request: Request) -> _Told:
    media = encoding = b""
    length, asks = 0, False
    for name, value in request.scope["headers"]:
        if name == b"content-type":
            media = media or value
        elif name == b"content-length":
            length = int(value) if value.isdigit() else 0
        elif name == b"content-encoding":
            encoding = encoding + b"," + value if encoding else value
        elif name == b"expect":
            asks = True
    return _Told(media, encoding, length, asks)


def _is_json(content_type: str) -> bool:
    """Whatever else the parameters say of the JSON, UTF-8 is what it must be in."""
    media, _, parameters = content_type.lower().partition(";")
    named = [parameter.partition("=") for parameter in _PARAMETER.findall(parameters)]
    charsets = [value.strip() for name, _, value in named if name.strip() == "charset"]
    return media.strip() == _JSON and _UTF_8.issuperset(charsets)
