"""What every request passes, as plain ASGI: nothing here costs a task, a thread or a copy of the body."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.body import THROWN_AWAY_BYTES

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SMALL_BODY_BYTES = 1 << 16
"""A body of this size is in the server's buffer anyway; whether somebody reads it makes no difference."""


class Courtesy:
    """HEAD is answered wherever GET is, and a large body is read to its end before an answer that did not need it.

    Without the second, a client that sends before it listens sees its connection reset instead of the answer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the lifespan."""
        if scope["type"] == "http":
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

    async def receive(self) -> Message:
        message = await self._receive()
        self._more = message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not _closes(message):
            thrown_away = 0
            while self._more and thrown_away <= THROWN_AWAY_BYTES:
                thrown_away += len((await self.receive()).get("body", b""))
        await self._send(message)


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
