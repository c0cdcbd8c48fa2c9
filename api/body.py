"""A request's body as bytes: bounded, and JSON by its own account. Decodes nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

from core.errors import SluiceError

if TYPE_CHECKING:
    from starlette.requests import Request

    from api.room import Share

THROWN_AWAY_BYTES = 64 << 20
"""How much of an over-long body is read for nothing, so that the client gets to read its answer."""

_JSON = "application/json"
_UTF_8 = frozenset({"utf-8", "utf8", '"utf-8"', '"utf8"'})
_PARAMETER = re.compile(r'(?:[^;"]+|"(?:[^"\\]|\\.)*"?)+')
"""What stands between semicolons outside of quotes. It takes whatever comes, so that it never goes back."""


class BodyTooLarge(SluiceError):
    """More bytes than a body may have. `unread`: there are more still, so the connection cannot go on."""

    def __init__(self, limit: int, *, unread: bool) -> None:
        super().__init__(f"the body is larger than {limit} bytes")
        self.unread = unread


class NotJsonMedia(SluiceError):
    """The body says that it is something other than JSON in UTF-8, or does not say what it is."""

    def __init__(self) -> None:
        super().__init__("send JSON in UTF-8 with the header Content-Type: application/json")


async def read(request: Request, limit: int, share: Share) -> bytes | bytearray:
    """The whole body, of at most `limit` bytes.

    Raises BodyTooLarge once it has read the rest for nothing (THROWN_AWAY_BYTES at most), NotJsonMedia, Overloaded when
    the share has no room for it, and ClientDisconnect when the client leaves before the end.
    """
    if "expect" in request.headers and _announced(request) > limit:
        raise BodyTooLarge(limit, unread=True)  # the client asks before it sends
    body: bytes | bytearray = b""
    thrown_away = 0
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        chunk: bytes = message.get("body", b"")
        if thrown_away or len(body) + len(chunk) > limit:
            thrown_away += len(body) + len(chunk)
            body = b""
            if thrown_away > THROWN_AWAY_BYTES:
                break
        elif not body:
            share.hold(len(chunk))
            body = chunk
        else:
            share.hold(len(body) + len(chunk))
            # In place from the second chunk on: adding bytes anew each time would be quadratic.
            body = body if isinstance(body, bytearray) else bytearray(body)
            body += chunk
    if thrown_away:
        raise BodyTooLarge(limit, unread=more)
    content_type = request.headers.get("content-type", "")
    if content_type != _JSON and not _is_json(content_type):
        raise NotJsonMedia
    return body


def _is_json(content_type: str) -> bool:
    """Whatever else the parameters say of the JSON, UTF-8 is what it must be in."""
    media, _, parameters = content_type.lower().partition(";")
    named = [parameter.partition("=") for parameter in _PARAMETER.findall(parameters)]
    charsets = [value.strip() for name, _, value in named if name.strip() == "charset"]
    return media.strip() == _JSON and _UTF_8.issuperset(charsets)


def _announced(request: Request) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() else 0
