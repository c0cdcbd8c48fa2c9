"""What benchmarks make of samples: quantiles, histograms, whether a load was sustained, what went by on the wire."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import chain, repeat
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmarks import flushes
from benchmarks.arrivals import instants
from benchmarks.lists import crowd, look, scenes
from benchmarks.lists.hints import Watch
from benchmarks.lists.place import Place
from benchmarks.openloop import Rates, Seen
from benchmarks.quantiles import histogram, quantiles
from benchmarks.relay import Frontend, beginning
from benchmarks.results import Run, figures


def message(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4, "big") + body


def test_quantiles_of_one_to_a_hundred() -> None:
    assert quantiles(float(n) for n in range(100, 0, -1)) == {
        "p50": 51.0,
        "p95": 96.0,
        "p99": 100.0,
        "max": 100.0,
    }


def test_there_are_no_quantiles_of_nothing() -> None:
    with pytest.raises(ValueError, match="no samples"):
        quantiles([])


def test_each_sample_is_in_one_bucket() -> None:
    assert histogram([0.0, 4.9, 5.0, 9.9, 10.0, 99.0], (5, 10)) == {"< 5": 2, "< 10": 2, ">= 10": 2}


class Clock:
    """Time that passes when somebody sleeps, or flushes."""

    def __init__(self) -> None:
        self.now = 0.0
        self.flushes = iter([0.001, 0.001, 0.09, *[0.001] * 100])

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def flush(self) -> None:
        self.now += next(self.flushes)


def test_a_flush_that_stalls_is_felt_by_all_that_were_due_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(flushes, "time", clock)
    waited = list(flushes.waited(clock.flush, 0.2, pause=0.02))
    assert waited == pytest.approx([1, 1, 90, 71, 51, 31, 11, 1, 1, 1])


def test_steady_latency_is_sustained_and_a_growing_one_is_not() -> None:
    steady = [Seen(at / 100, at / 100 + 0.01, at / 100 + 0.02) for at in range(1000)]
    growing = [Seen(at / 100, at / 50, at / 50) for at in range(1000)]
    assert Rates.of(steady, since=2.0, refused=0).sustained
    assert not Rates.of(growing, since=2.0, refused=0).sustained


def test_what_is_refused_was_offered() -> None:
    steady = [Seen(at / 100, at / 100, at / 100) for at in range(1000)]
    rates = Rates.of(steady, since=5.0, refused=100)
    assert rates.offered == pytest.approx(rates.completed + 100 / 4.99)
    assert not rates.sustained


def test_arrivals_are_in_order_within_the_time_and_as_many_as_the_rate_says() -> None:
    planned = instants(1000, 10, 100.0)
    assert planned == sorted(planned)
    assert planned[0] >= 100
    assert planned[-1] < 110
    assert len(planned) == pytest.approx(10_000, rel=0.1)


@pytest.mark.parametrize("step", [1, 7, 4096])
def test_statements_are_counted_however_the_bytes_are_cut(step: int) -> None:
    startup = (12).to_bytes(4, "big") + b"\0\3\0\0" + b"user"
    wire = (8).to_bytes(4, "big") + b"\4\xd2\x16\x2f" + startup
    wire += message(b"Q", b"BEGIN;\0")
    wire += message(b"P", b"one\0-- why\nUPDATE  consumers SET x = 1\0\0\0") + message(b"S", b"")
    wire += 2 * (message(b"B", b"\0one\0\0\0\0\0\0\0") + message(b"E", b"\0\0\0\0\0") + message(b"S", b""))
    seen: Counter[str] = Counter()
    frontend = Frontend(seen)
    for at in range(0, len(wire), step):
        frontend.feed(wire[at : at + step])
    assert seen == {"BEGIN;": 1, "UPDATE consumers SET x = 1": 2}


def test_a_statement_is_known_by_its_beginning() -> None:
    assert beginning(b"-- a reason\nSELECT 1\n  FROM tasks") == "SELECT 1 FROM tasks"


def test_hints_are_the_ids_that_are_pushed_whatever_they_are_pushed_to() -> None:
    one, other = "0190c2a4-7f3e-7c1a-9b2d-000000000001", "0190c2a4-7f3e-7c1a-9b2d-000000000002"
    watch = Watch()
    watch.hear(f"LPUSH a-list {one} {other}")
    watch.hear(f"rpush another {one}")
    watch.hear(f"EVALSHA 00ff 1 a-list {one}")
    watch.hear(f"LREM a-list 0 {one}")
    watch.hear("LPUSH wake wake")
    watch.hear("BLMPOP 1 2 wake a-list RIGHT COUNT 200")
    assert (watch.pushed, watch.commands) == (3, 6)


def test_each_scene_of_lists_says_how_many_runs_it_makes() -> None:
    options = {"rows": None, "queues": None, "seconds": None, "wide": False, "runs": 1, "repeats": 0}
    alone = [Namespace(**options, scene=[scene]) for scene in scenes.SCENES]
    assert all(scenes.comparisons(one) for one in alone)
    empty = scenes.runs(alone[0]) // 2
    twice = empty * (len(crowd.STATES) - 1)
    assert scenes.runs(Namespace(**options, scene=None)) == sum(map(scenes.runs, alone)) - twice


def _place(answers: Sequence[dict[str, Any]], queues: int) -> Place:
    """One whose API gives these answers, the last for ever, and whose database holds so many queues."""
    said = chain(answers, repeat(answers[-1]))

    async def get(_: str) -> SimpleNamespace:
        answer = next(said)
        return SimpleNamespace(status_code=200, json=lambda: answer)

    async def fetchval(_: str) -> int:
        return queues

    @asynccontextmanager
    async def connection() -> AsyncIterator[SimpleNamespace]:
        yield SimpleNamespace(fetchval=fetchval)

    return cast(
        "Place", SimpleNamespace(http=SimpleNamespace(get=get), stage=SimpleNamespace(connection=connection))
    )


COUNTED, NEVER = {"depth": 1, "counted_at": "2026-01-01T00:00:00Z"}, {"depth": None, "counted_at": None}


@pytest.mark.parametrize(
    ("last", "queues", "met"),
    [
        ([COUNTED] * 3, 3, (True, True)),
        ([COUNTED] * 1000, 1200, (True, True)),
        ([COUNTED, NEVER], 2, (True, False)),
        ([], 3, (False, True)),
        ([COUNTED] * 4, 3, (False, True)),
        ([COUNTED] * 999, 1200, (False, True)),
    ],
    ids=["all", "the most", "one never counted", "none named", "one too many", "one too few"],
)
async def test_health_must_name_every_queue_and_have_counted_each_in_the_end(
    monkeypatch: pytest.MonkeyPatch, last: list[dict[str, Any]], queues: int, met: tuple[bool, bool]
) -> None:
    monkeypatch.setattr(look, "_LOOKS", 2)
    monkeypatch.setattr(look, "_MOST_LOOKS", 4)
    monkeypatch.setattr(look, "_STALE", 0)
    monkeypatch.setattr(look, "_meter", contextmanager(lambda _: iter([SimpleNamespace(facts={})])))
    first = {"queues": {"a": COUNTED, "b": NEVER, "c": NEVER}}
    answers: list[dict[str, Any]] = [
        first,
        {"queues": {f"queue-{number}": one for number, one in enumerate(last)}},
    ]

    facts = await look.health(_place(answers, queues))

    runs = [
        Run(look.MISNAMED, "x", 1, 1, facts["misnamed"], "depths"),
        Run(look.UNDATED, "x", 1, 1, facts["undated"], "depths"),
    ]
    assert tuple(figure.met for figure in figures(runs, look.comparisons("x", "y"))) == met
