"""What clients do in a chaos run: submissions at a fixed rate whatever becomes of them, cancels, looks, retries."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

from tests.chaos.client import Answer, Client, NoAnswer
from tests.chaos.history import History
from tests.chaos.mix import Asked, draw

MOST_AT_ONCE = 300
"""Requests that may be open; one that is due beyond them is not sent, and counts as offered all the same."""
_UNKNOWN = ("maybe-accepted", "outcome-unknown")


class Load:
    """Clients of one API. Everything that they ask, and what they hear, is in the history.

    They submit to so many `queues`, and what lies in `asked` besides.
    """

    def __init__(
        self, client: Client, history: History, random: Random, *, queues: int, asked: deque[Asked]
    ) -> None:
        self._client = client
        self._history = history
        self._random = random
        self._queues = queues
        self._asked = asked
        self._number = 0
        self._open = 0
        self._recent: deque[str] = deque(maxlen=400)
        self._canceled: deque[str] = deque(maxlen=50)
        self.answered = 0

    async def offer(self, rate: float, until: Callable[[], bool]) -> None:
        """Submit `rate` tasks a second, and now and then cancel, look at and retry some."""
        due = time.monotonic()
        async with asyncio.TaskGroup() as group:
            while not until():
                due += self._random.expovariate(rate)
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                if self._open >= MOST_AT_ONCE:
                    self._history.add("invoke", n=self._next(), op="submit", sent=False)
                    continue
                group.create_task(self.submit())
                while self._asked:
                    group.create_task(self._serve(self._asked.popleft()))
                for share, act in ((0.10, self._cancel), (0.10, self._get), (0.02, self._retry)):
                    if self._random.random() < share:
                        group.create_task(act())

    async def saturate(self, clients: int, until: Callable[[], bool]) -> None:
        """Submit as fast as the answers come."""

        async def one() -> None:
            while not until():
                await self.submit()

        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(one())

    async def submit(self) -> None:
        """One task of the mix."""
        chosen = await self._submit(draw(self._random, self._queues))
        if chosen is not None:
            self._recent.append(chosen)

    async def _submit(self, body: dict[str, Any]) -> str | None:
        """Submit it; its id if accepted. It carries the number of its submission, so that its row names it."""
        number = self._next()
        body = {**body, "message": str(number), "max_attempts": 100}
        heard = await self._ask("submit", "POST", "/tasks", body, n=number)
        if heard is None or heard.status != 201:
            return None
        self.answered += 1
        return str(heard.body["id"])

    async def _serve(self, asked: Asked) -> None:
        """Submit what a fault asked for, and cancel it when it is to be."""
        chosen = await self._submit(asked.body)
        if chosen is not None and asked.cancel_after is not None:
            await asyncio.sleep(asked.cancel_after)
            await self._change(chosen, "cancel", "canceled")

    async def _cancel(self) -> None:
        """A task of the last second or two: about half of them are still to be run."""
        if self._recent:
            chosen = self._recent[-1 - int(self._random.random() ** 2 * len(self._recent))]
            if await self._change(chosen, "cancel", "canceled"):
                self._canceled.append(chosen)

    async def _retry(self) -> None:
        if self._canceled:
            await self._change(self._canceled.popleft(), "retry", "pending")

    async def _get(self) -> None:
        if self._recent:
            chosen = self._random.choice(self._recent)
            await self._ask("get", "GET", f"/tasks/{chosen}", id=chosen)

    async def _change(self, chosen: str, op: str, status: str) -> bool:
        heard = await self._ask(op, "PATCH", f"/tasks/{chosen}", {"status": status}, id=chosen)
        return heard is not None and heard.status == 200

    async def _ask(self, op: str, method: str, path: str, body: object = None, **facts: Any) -> Answer | None:
        number = facts.pop("n", None) or self._next()
        self._history.add("invoke", n=number, op=op, **facts)
        self._open += 1
        try:
            heard = await self._client(method, path, body)
        except NoAnswer as lost:
            self._history.add("info", n=number, why=str(lost))
            return None
        except OSError as refused:
            self._history.add("fail", n=number, why=repr(refused))
            return None
        finally:
            self._open -= 1
        self._note(number, heard)
        return heard

    def _note(self, number: int, heard: Answer) -> None:
        if heard.status in {200, 201}:
            known = {key: heard.body.get(key) for key in ("id", "status", "fencing_token", "canceled_from")}
            self._history.add("ok", n=number, **known)
        else:
            problem = str(heard.body.get("type", "")).rpartition(":")[2]
            self._history.add(
                "info" if problem in _UNKNOWN else "fail", n=number, code=heard.status, why=problem
            )

    def _next(self) -> int:
        self._number += 1
        return self._number
