"""A proxy of one process's way to one server, which can do to it what networks do. Reads along, but changes no byte."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from random import Random

from tests.support.proxy import Proxy

_CHUNK = 1 << 16
_SSL_REQUEST = 80877103
_RESET = struct.pack("ii", 1, 0)
_WRITES = (b"INSERT INTO tasks", b"UPDATE tasks")


class PostgresTalk:
    """What a client says to PostgreSQL, message by message: which of them end in a commit."""

    def __init__(self) -> None:
        self._buffer = b""
        self._started = False
        self._writing: set[bytes] = set()

    def matters(self, data: bytes) -> bool:
        """Whether `data` ends a message that commits something: a COMMIT, or a writing statement of its own."""
        self._buffer += data
        found = [
            self._commits(kind, body) for kind, body in self._messages()
        ]  # each of them: statements are named
        return any(found)

    def _messages(self) -> Iterator[tuple[bytes, bytes]]:
        while True:
            start = 1 if self._started else 0
            if len(self._buffer) < start + 4:
                return
            (length,) = struct.unpack_from("!i", self._buffer, start)
            if len(self._buffer) < start + length:
                return
            kind, body = self._buffer[:start], self._buffer[start + 4 : start + length]
            self._buffer = self._buffer[start + length :]
            if not self._started:
                self._started = body[:4] != struct.pack("!i", _SSL_REQUEST)
            else:
                yield kind, body

    def _commits(self, kind: bytes, body: bytes) -> bool:
        if kind == b"Q":
            return body.upper().startswith(b"COMMIT")
        if kind == b"P":
            name, _, query = body.partition(b"\0")
            (self._writing.add if any(word in query for word in _WRITES) else self._writing.discard)(name)
        elif kind == b"B":
            return body.split(b"\0", 2)[1] in self._writing
        return False


class RedisTalk:
    """What a client says to Redis: which of it takes ids from a list. Commands of ours are small: one chunk each."""

    def matters(self, data: bytes) -> bool:
        """Whether `data` holds a pop."""
        return b"LMPOP\r\n" in data


class HttpTalk:
    """What a client says to the API: no answer is held on its own."""

    def matters(self, _: bytes) -> bool:
        """Never."""
        return False


Talk = PostgresTalk | RedisTalk | HttpTalk


class _Link:
    """One connection through the wire."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter, talk: Talk) -> None:
        self.client, self.server, self.talk = client, server, talk
        self.answering = asyncio.Event()
        self.answering.set()
        self.deaf = False

    def abort(self) -> None:
        self.client.transport.abort()
        self.server.transport.abort()


class Wire(Proxy):
    """Faults for one process and one server. `delay` holds every chunk from least to most seconds.

    `held` counts the answers that `hold_answers` has held.
    """

    def __init__(self, upstream: str, talk: Callable[[], Talk], random: Random) -> None:
        super().__init__(upstream)
        self._talk = talk
        self._random = random
        self._links: set[_Link] = set()
        self._asking = asyncio.Event()
        self._asking.set()
        self._holding = False
        self.delay: tuple[float, float] | None = None
        self.held = 0

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    def hold_answers(self) -> None:
        """From now on hold the answer to every commit or pop, and all that follows on its connection."""
        self.held, self._holding = 0, True

    def lose_questions(self) -> None:
        """What clients send does not arrive."""
        self._asking.clear()

    def resume(self) -> None:
        """Pass on again, what was held back first."""
        super().resume()
        self._asking.set()
        self._holding = False
        for link in self._links:
            link.answering.set()

    def reset(self) -> None:
        """RST to both ends of every connection."""
        for link in self._links:
            for end in (link.client, link.server):
                sock = end.get_extra_info("socket")
                if sock is not None and sock.fileno() >= 0 and sock.family != socket.AF_UNIX:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.drop()

    def half_close(self) -> None:
        """Every client hears that the server will say no more, and may go on to talk to it."""
        for link in self._links:
            link.deaf = True
            with suppress(OSError):
                link.client.write_eof()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            for gate in (self._asking, self._flowing):
                await gate.wait()
            with suppress(OSError):  # the server behind is away: so are we
                answers, server = await self._connect()
                link = _Link(writer, server, self._talk())
                await self._carry(link, reader, answers)
        finally:
            writer.transport.abort()
            self._writers.discard(writer)

    async def _carry(
        self, link: _Link, questions: asyncio.StreamReader, answers: asyncio.StreamReader
    ) -> None:
        self._links.add(link)
        self._writers.add(link.server)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._ask(link, questions))
                group.create_task(self._answer(link, answers))
        finally:
            link.server.transport.abort()
            self._links.discard(link)
            self._writers.discard(link.server)

    async def _ask(self, link: _Link, questions: asyncio.StreamReader) -> None:
        """From the client to the server."""
        with suppress(OSError):
            while data := await questions.read(_CHUNK):
                if link.talk.matters(data) and self._holding:
                    link.answering.clear()
                    self.held += 1
                await self._late()
                await self._asking.wait()
                await self._flowing.wait()
                await _pass(link.server, data)
        link.abort()

    async def _answer(self, link: _Link, answers: asyncio.StreamReader) -> None:
        """From the server to the client."""
        with suppress(OSError):
            while data := await answers.read(_CHUNK):
                await self._late()
                for gate in (self._flowing, self._answering, link.answering):
                    await gate.wait()
                if not link.deaf:
                    await _pass(link.client, data)
        link.abort()

    async def _late(self) -> None:
        if self.delay is not None:
            await asyncio.sleep(self._random.uniform(*self.delay))


async def _pass(end: asyncio.StreamWriter, data: bytes) -> None:
    """Write, unless that end was closed while `data` was held back."""
    if not end.transport.is_closing():
        end.write(data)
        await end.drain()
