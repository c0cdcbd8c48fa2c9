"""What every request passes, as plain ASGI: nothing here costs a task, a thread or a copy of the body."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from typing import TYPE_CHECKING

from sluice.api.http.body import THROWN_AWAY_BYTES

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SMALL_BODY_BYTES = 1 << 16
"""A body of this size is in the server's buffer anyway; whether somebody reads it makes no difference."""


LINGER_SECONDS = 5.0
"""How long a connection that ends still takes what comes, for a client or a proxy that has not heard its answer yet."""


class Courtesy:
    """HEAD is answered wherever GET is, and a large body is read to its end before an answer that did not need it.

    Without the second, a client that sends before it listens sees its connection reset instead of the answer, and a
    proxy tells its own client that we are broken. What is too long for that is answered while it still comes.
    `root_path`: the prefix under which a proxy serves us. It may take it away from what it sends us or leave it.
    """

    def __init__(self, app: ASGIApp, *, root_path: str) -> None:
        self._app = app
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the lifespan."""
        if scope["type"] == "http":
            if self._root_path:
                scope["root_path"] = self._root_path
            if scope["method"] == "HEAD":
                # A copy: the server goes by its own to leave the body out.
                scope = {**scope, "method": "GET"}
            elif scope["method"] != "GET" and _is_large(scope):
                rest = _Rest(receive, send)
                receive, send = rest.receive, rest.send
        await self._app(scope, receive, send)


class _Rest:
    """What is left of one request's body."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._more = True
        self._bytes = 0
        self._ends = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._more = message.get("more_body", False)
        self._bytes += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._ends = _closes(message)
            if not self._ends:
                await self._throw_away(THROWN_AWAY_BYTES)
        elif self._ends and self._more and self._bytes > THROWN_AWAY_BYTES and not message.get("more_body"):
            await self._send({**message, "more_body": True})  # the answer is out: only its end is told later
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER_SECONDS):
                    await self._throw_away(math.inf)
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    async def _throw_away(self, most: float) -> None:
        end = self._bytes + most
        while self._more and self._bytes <= end:
            await self.receive()


def _is_large(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return (
                not value.isdigit()
                or len(value) > len(str(SMALL_BODY_BYTES))
                or int(value) > SMALL_BODY_BYTES
            )
        if name == b"transfer-encoding":
            return True
    return False


def _closes(message: Message) -> bool:
    return any(name.lower() == b"connection" for name, _ in message.get("headers", ()))
