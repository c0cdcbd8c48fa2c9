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

MOST_AT_ONCE = 300
"""Requests that may be open; one that is due beyond them is not sent, and counts as offered all the same."""
_UNKNOWN = ("maybe-accepted", "outcome-unknown")


def _mix(random: Random) -> dict[str, Any]:
    """One submission: the kinds in their shares."""
    at = random.random()
    if at < 0.42:
        return {"kind": "chaos.noop"}
    if at < 0.58:
        return {"kind": "chaos.nap", "payload": {"seconds": round(random.uniform(0.005, 0.06), 4)}}
    if at < 0.66:
        return {"kind": "chaos.flaky", "payload": {"times": random.choice((1, 1, 2))}}
    if at < 0.78:
        return {"kind": "chaos.thread", "payload": {"seconds": round(random.uniform(0.005, 0.03), 4)}}
    if at < 0.785:
        return {"kind": "chaos.compute", "payload": {"seconds": 0.01}}
    if at < 0.95:
        return {"kind": "chaos.effect", "payload": {"seconds": round(random.uniform(0, 0.03), 4)}}
    if at < 0.97:
        return {"kind": "chaos.noop", "delay": round(random.uniform(0.1, 2.0), 2)}
    return {"kind": "chaos.nap", "payload": {"seconds": round(random.uniform(0.5, 1.5), 2)}}


class Load:
    """Clients of one API. Everything that they ask, and what they hear, is in the history."""

    def __init__(self, client: Client, history: History, random: Random) -> None:
        self._client = client
        self._history = history
        self._random = random
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
        """One task of the mix. It carries the number of its submission, so that its row names it."""
        number = self._next()
        body = _mix(self._random)
        body["message"] = str(number)
        body["max_attempts"] = 100
        heard = await self._ask("submit", "POST", "/tasks", body, n=number)
        if heard is not None and heard.status == 201:
            self.answered += 1
            self._recent.append(heard.body["id"])

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
