"""What the commands say of a task that nobody alive serves, and that saying it costs and breaks nothing."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from sluice.cli import unserved
from sluice.cli.client import Api, ApiUnreachable
from sluice.cli.progress import wait
from sluice.cli.watch import Watch
from tests.cli.support import Command

NOW = datetime.now(UTC)
NOBODY = "no consumer is alive: see what `sluice up` says, or start one with `sluice consumer`"
QUEUE = "nobody serves queue q: no live consumer has it; start one with QUEUES=q"
KIND = "nobody serves kind k: no live consumer has it; start one whose HANDLERS has it"
ELSEWHERE = "nobody serves kind k in queue q: who has the kind serves other queues; start one with QUEUES=q"
NOT_HERE = (
    "nobody serves kind k in queue q: no live consumer of that queue has it; start one whose HANDLERS has it"
)
Consumer = dict[str, Any]


def consumer(queue: str, *kinds: str, unnamed: int = 0) -> Consumer:
    return {"queues": [queue], "kinds": list(kinds), "unnamed_kinds": unnamed}


def health(*consumers: Consumer, **others: object) -> dict[str, Any]:
    return {"database": "up", "warnings": [], "consumers": list(consumers), **others}


def task(**others: object) -> dict[str, Any]:
    at = NOW.isoformat()
    return {
        "id": "1",
        "status": "pending",
        "queue": "q",
        "kind": "k",
        "run_at": at,
        "created_at": at,
        **others,
    }


class Server:
    """An API that knows one task, and answers /health with what it is given: first `answer`, and `then` the other."""

    def __init__(self, answer: object = None, status: int = 200, *, then: object = None) -> None:
        self.answer = answer
        self.then = then or answer
        self.status = status
        self.task = task()
        self.asked: Counter[str] = Counter()

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked[request.url.path] += 1
        if request.url.path != "/health":
            return httpx2.Response(200, json=self.task)
        assert request.extensions["timeout"]["read"] <= 2, "a remark keeps nobody waiting"
        answer, self.answer = self.answer, self.then
        if isinstance(answer, Exception):
            raise answer
        return httpx2.Response(self.status, json=answer)

    @property
    def api(self) -> Api:
        return Api("http://127.0.0.1", transport=httpx2.MockTransport(self))


@pytest.mark.parametrize(
    ("said", "consumers"),
    [
        (NOBODY, []),
        (QUEUE, [consumer("other", "k")]),
        (KIND, [consumer("q", "x"), consumer("other", "x")]),
        (ELSEWHERE, [consumer("q", "x"), consumer("other", "k")]),
        (NOT_HERE, [consumer("q", "x"), consumer("other", "x", unnamed=1)]),
        (None, [consumer("q", "x"), consumer("q", "k")]),
        (None, [consumer("q", "x", unnamed=1)]),
    ],
)
def test_the_reason_names_what_no_live_consumer_has(said: str | None, consumers: list[Consumer]) -> None:
    assert unserved.reason(Server(health(*consumers)).api, task()) == said


@pytest.mark.parametrize(
    "others",
    [
        {"status": "processing"},
        {"status": "failed"},
        {"run_at": (NOW + timedelta(hours=1)).isoformat()},
        {"run_at": "infinity"},
    ],
)
def test_a_task_that_does_not_wait_for_a_consumer_costs_no_request(others: dict[str, Any]) -> None:
    server = Server(health())
    assert unserved.reason(server.api, task(**others)) is None
    assert not server.asked


def test_a_clock_that_is_behind_the_databases_takes_no_new_task_for_delayed() -> None:
    ahead = (NOW + timedelta(hours=1)).isoformat()
    assert unserved.reason(Server(health()).api, task(run_at=ahead, created_at=ahead)) == NOBODY


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"database": "up", "consumers": []}, 200),
        ({"database": "up", "warnings": [], "consumers": [{"queues": ["q"]}]}, 200),
        ({"database": "up", "warnings": [], "consumers": 1}, 200),
        ({"database": "down", "warnings": [], "consumers": []}, 503),
        (health(database="read-only"), 200),
        ([], 200),
        ({}, 404),
        (httpx2.ReadTimeout("slow"), 0),
        (httpx2.ConnectError("away"), 0),
    ],
)
def test_an_api_of_another_version_or_in_trouble_gives_no_reason_and_no_error(
    answer: object, status: int
) -> None:
    server = Server(answer, status)
    assert unserved.reason(server.api, task()) is None
    assert unserved.reason_by_id(server.api, "1") is None


class Clock:
    """Time that passes by being waited for."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        patch.setattr("time.monotonic", lambda: self.now)
        patch.setattr("time.sleep", self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.001)


def _waited(server: Server, monkeypatch: pytest.MonkeyPatch, ends: float) -> None:
    """Wait for the task, which is completed after so many seconds."""
    clock = Clock(monkeypatch)

    def answer(request: httpx2.Request) -> httpx2.Response:
        if clock.now >= ends:
            server.task["status"] = "completed"
        return server(request)

    api = Api("http://127.0.0.1", transport=httpx2.MockTransport(answer))
    watch = Watch(api, ["1"])
    wait(watch, timeout=None, hint="", remark=unserved.WhileWaiting(api, watch))


def test_while_a_task_is_waited_for_the_reason_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = Server(health())
    _waited(server, monkeypatch, 60)
    assert capsys.readouterr().err == f"{NOBODY}\n"
    assert server.asked["/health"] == 1


def test_a_consumer_that_ends_while_somebody_waits_is_missed_as_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = Server(health(consumer("q", "k")), then=health(consumer("q", "x")))
    _waited(server, monkeypatch, 60)
    assert capsys.readouterr().err == f"{KIND}\n"
    assert server.asked["/health"] == 2


def test_a_task_that_is_done_at_once_costs_no_look_at_health(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = Server(ApiUnreachable("http://127.0.0.1", "nobody may ask"))
    _waited(server, monkeypatch, 0.9)
    assert capsys.readouterr().err == ""
    assert server.asked["/health"] == 0


async def test_the_commands_say_that_nobody_serves_the_queue(asking: Command) -> None:
    unknown, said = ("x", "--queue", "q"), f"{QUEUE}\n"
    submitted = await asking("submit", *unknown)
    assert (submitted.status, submitted.stderr) == (0, said)
    task_id = submitted.stdout.strip()
    shown = await asking("show", task_id)
    assert (shown.status, shown.stderr) == (0, said)
    assert task_id in shown.stdout
    many = await asking("submit", *unknown, "--count", "3")
    assert many.stderr.splitlines()[1:] == [QUEUE]
    assert len(many.stdout.splitlines()) == 3
    waited = await asking("submit", *unknown, "--wait-timeout", "3")
    assert waited.status == 1
    assert waited.stderr.splitlines()[0] == QUEUE
    assert len(waited.stderr.splitlines()) == 2


async def test_programs_and_tasks_that_are_served_or_delayed_get_no_note(asking: Command) -> None:
    for arguments in (
        ["submit", "x", "--queue", "q", "-o", "json"],
        ["submit", "x", "--queue", "q", "--delay", "600"],
    ):
        result = await asking(*arguments)
        assert (result.status, result.stderr) == (0, "")
    task_id = (await asking("submit", "x")).stdout.strip()
    assert (await asking("show", task_id)).stderr == ""
    unserved_id = (await asking("submit", "x", "--queue", "q")).stdout.strip()
    assert (await asking("show", unserved_id, "-o", "json")).stderr == ""
