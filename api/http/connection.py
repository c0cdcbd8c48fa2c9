"""One HTTP connection: uvicorn's, with an end to what a client may make it hold or wait for. Answers no request.

uvicorn waits for ever for a first request and for the rest of one that has begun, keeps a head of any length, takes
trailers for headers, and reads a further chunk of pipelined requests for each one that it answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, cast

import httptools
from uvicorn import Config

from sluice.api.http import body_budget as budget
from sluice.api.http.bounds import NO_MORE, Flow, most_connections, without_offer
from sluice.api.http.uvicorn_inside import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from sluice.api.problems.errors import HeadTooLarge, NotHttp, TooSlow, Trailers
from sluice.api.problems.table import respond
from sluice.core.errors import Overloaded

HEAD_SECONDS = 10.0
"""How long a request line and its headers may take, from the connection or the first byte on."""
MOST_HEAD_BYTES = 64 << 10
MOST_HEADERS = 100
BODY_SECONDS = 20.0
SLOWEST_BODY = 8 << 10
"""Bytes a second that a body must bring once BODY_SECONDS have passed."""
SLOWEST_WHILE_WANTED = 1 << 20
"""The same while other large bodies wait for its room."""
UNREAD_SECONDS = 30.0
"""How long a client may take nothing of an answer that waits for it."""
MOST_PIPELINED = 100
"""Requests that wait on one connection for those before them; the rest is for the client to send again."""
BODY_AT_ONCE, HEAD_AT_ONCE = 16 << 10, 4 << 10
"""Bytes that are parsed before it is seen how much is held. uvloop may bring 256 KiB, a head of 64,000 headers."""


class Connection(HttpToolsProtocol):
    """Ends when its client is too slow, sends too much, or sends what is not HTTP."""

    def __init__(self, config: Config, *more: Any, **named: Any) -> None:
        super().__init__(config, *more, **named)
        self._budget: budget.BodyBudget = cast("Any", config.app).state.budget
        self._holding = budget.Holding(self._budget.unfinished)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Take the connection, unless there are as many as there may be."""
        super().connection_made(transport)
        self.flow = Flow(transport, self.pipeline)
        self._current: RequestResponseCycle | None = None
        self._head_since: float | None = self.loop.time()
        self._head_bytes = self._message_bytes = 0
        self._in_head = self._in_body = self._upgrading = self._deaf = False
        self._body_bytes = self._unread = 0
        self._body_since = self._unread_since = 0.0
        if len(self.connections) > most_connections():
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is held any more."""
        self._deaf = True
        self._holding.become(0)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came while there is room for it, and see what is held of it."""
        if self._deaf or (len(data) > budget.FREE_BYTES and not self._hold(self._holding.size + len(data))):
            return
        at, end = 0, len(data)
        while at < end:
            until = at + (BODY_AT_ONCE if self._in_body else HEAD_AT_ONCE)
            self._parse(data[at:until])
            at = until
        if self._head_since is not None or self._in_body or self._holding.size:
            self._weigh()

    def _parse(self, data: bytes) -> None:
        """The parser keeps an unfinished header itself, so only here can its length be seen."""
        if self._deaf:
            return
        if self._head_since is None and not self._waiting:
            self._head_since = self.loop.time()
        self._head_bytes += len(data)
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as wrong:
            self._refuse(Trailers() if isinstance(wrong.__context__, Trailers) else NotHttp())
        if self._head_since is None and not self._in_body:
            self._head_bytes = 0
        elif self._head_bytes > MOST_HEAD_BYTES or (self._in_head and len(self.headers) > MOST_HEADERS):
            self._refuse(Trailers() if self._in_body else HeadTooLarge(MOST_HEAD_BYTES, MOST_HEADERS))

    def on_message_begin(self) -> None:
        """A head begins."""
        if self._deaf:
            raise NotHttp  # ends the parsing of this chunk
        super().on_message_begin()
        self._head_bytes, self._message_bytes, self._in_head = 0, 0, True
        if self._head_since is None:
            self._head_since = self.loop.time()

    def on_headers_complete(self) -> None:
        """A request begins, or waits for those before it."""
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > MOST_HEAD_BYTES or len(self.headers) > MOST_HEADERS:
            self._refuse(HeadTooLarge(MOST_HEAD_BYTES, MOST_HEADERS))
            raise NotHttp
        self._message_bytes = size + budget.HEADER_BYTES * len(self.headers)
        self._head_bytes, self._head_since, self._in_head = 0, None, False
        self._upgrading = self.parser.should_upgrade()
        if self._upgrading:
            return
        super().on_headers_complete()
        self.headers = NO_MORE
        self._in_body = True
        if len(self.pipeline) > MOST_PIPELINED:
            self._end_after_answers()
            raise NotHttp

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._body_bytes += len(body)
        self._message_bytes += len(body)
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is here as a whole."""
        if not self._upgrading:
            super().on_message_complete()
            self._in_body = False

    def eof_received(self) -> bool:  # type: ignore[override] # asyncio's signature
        """The client will say no more; True keeps the connection for the answers to what it said."""
        answers_due = self._waiting and (bool(self.pipeline) or not self._in_body)
        if answers_due:
            self._end_after_answers()
        return answers_due

    def end_if_overdue(self, now: float) -> None:
        """Give a client up that takes too long to say what it wants."""
        unread = self.transport.get_write_buffer_size()
        if unread != self._unread or not unread:
            self._unread, self._unread_since = unread, now
        elif now - self._unread_since > UNREAD_SECONDS:
            self.transport.abort()
        if self._deaf or self.transport.is_closing():
            return
        if self._head_since is not None:
            slow = now - self._head_since > HEAD_SECONDS
        else:
            late = now - self._body_since - BODY_SECONDS
            pace = SLOWEST_WHILE_WANTED if self._budget.arriving.wanted else SLOWEST_BODY
            slow = self._in_body and not self.pipeline and self._body_bytes < late * pace
        if slow and (self._in_head or self._in_body):
            self._refuse(TooSlow())
        elif slow:
            self.transport.close()  # nothing was asked

    def on_response_complete(self) -> None:
        """A request has its answer, and the next its turn. Of a body that nobody asked for nothing is kept."""
        cast("RequestResponseCycle", self._current).body = bytearray()
        super().on_response_complete()
        if self._holding.size:
            self._weigh()

    def _weigh(self) -> None:
        """Count what is held of requests that are not whole, or that wait for others."""
        holds = self._head_bytes + budget.WAITING_BYTES * len(self.pipeline)
        if self._in_head:
            holds += budget.HEADER_BYTES * len(self.headers)
        elif self._in_body and not self.cycle.response_complete:
            holds += max(len(self.cycle.body), min(self._message_bytes, MOST_HEAD_BYTES + budget.SMALL_BYTES))
        self._hold(0 if self._deaf or holds <= budget.FREE_BYTES else holds)

    def _hold(self, size: int) -> bool:
        """Hold so much from now on; False, and an end to it, where there is no room."""
        try:
            self._holding.become(size)
        except Overloaded as full:
            if self.pipeline:
                self._end_after_answers(waiting=False)
            else:
                self._refuse(full)
            self._holding.become(0)
            return False
        return True

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:  # noqa: ANN401 - uvicorn's own
        self._current = cycle
        self._body_since, self._body_bytes = self.loop.time(), len(cycle.body)
        super()._start_asgi_task(cycle, app)

    def _decline_upgrade(self, rest: bytes) -> None:
        """Take the request as if it had not offered another protocol: the parser has dropped its body.

        Java's client offers HTTP/2 in this way with whatever it sends first.
        """
        if self.parser.get_method() == b"CONNECT":
            self._refuse(NotHttp())
            return
        head = without_offer(self.parser.get_method(), self.url, self.headers)
        self.parser = httptools.HttpRequestParser(self)
        self._parse(head + rest)

    @property
    def _waiting(self) -> bool:
        """Whether a request has not been answered whole."""
        latest: RequestResponseCycle | None = self.cycle
        return latest is not None and not latest.response_complete

    def _refuse(self, error: Exception) -> None:
        """Answer for the request that is to blame, when it is that one's turn, and end."""
        if self._deaf:
            return
        if self._waiting and (self.pipeline or not self._in_body):
            self._end_after_answers()
            return
        self._deaf = True
        if self._in_head:
            self.headers.clear()
        if not (self._waiting and self.cycle.response_started):
            answer = respond(error)
            head = [name + b": " + value + b"\r\n" for name, value in answer.raw_headers]
            status = STATUS_LINE[answer.status_code]
            self.transport.write(b"".join((status, *head, b"connection: close\r\n\r\n", answer.body)))
        self.transport.close()

    def _end_after_answers(self, *, waiting: bool = True) -> None:
        """Hear no more; what was asked before is still answered, what waits for its turn only if `waiting`."""
        self._deaf = True
        if self._in_body and self.pipeline:
            self.pipeline.popleft()  # the one that is not whole
        if not waiting:
            self.pipeline.clear()
        last = self.pipeline[0][0] if self.pipeline else self._current
        if last is not None:
            last.keep_alive = False


def end_overdue(connections: Iterable[object], now: float) -> None:
    """Look at every connection once. `now`: of the loop's clock."""
    for connection in list(connections):
        if isinstance(connection, Connection):
            connection.end_if_overdue(now)
