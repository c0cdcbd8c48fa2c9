"""Kinds are refused only after they were read again, and an old cache answers nobody while PostgreSQL does (A2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from api import kinds as module
from api.kinds import Kinds
from api.patience import Patience
from api.strict_json import MOST_FLAWS
from core.errors import PayloadRefused, StoreUnavailable, UnknownKind
from core.events import Event
from core.task import Kind
from db.browse import Served
from tests.support.eventually import eventually

ECHO, MAIL = Kind("echo"), Kind("mail.send")
TO_SOMEBODY = {"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]}


class Registered:
    """The table `kinds`."""

    def __init__(self, **schemas: dict[str, Any] | None) -> None:
        self.rows = {Kind(kind): Served(Kind(kind), schema, 8, 30.0) for kind, schema in schemas.items()}
        self.looks = 0
        self.away = False
        self.silent = False

    def add(self, kind: Kind, schema: dict[str, Any] | None = None) -> None:
        self.rows[kind] = Served(kind, schema, None, None)

    async def kinds(self) -> dict[Kind, Served]:
        self.looks += 1
        await asyncio.sleep(0)
        while self.silent:
            await asyncio.sleep(0.01)
        if self.away:
            raise StoreUnavailable("PostgreSQL", "away")
        return dict(self.rows)


@asynccontextmanager
async def cache(table: Registered, *, refuse: bool = True) -> AsyncIterator[Kinds]:
    events: list[Event] = []
    made = Kinds(table, refuse_unknown=refuse, report=events.append)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(made.run())
        await eventually(lambda: made._read_at > 0 or table.away)
        yield made
        made.close()


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_known_kind_costs_no_look() -> None:
    table = Registered(echo=None)
    async with cache(table) as made:
        looks = table.looks
        for _ in range(100):
            assert (await made.check(ECHO, {"any": "thing"}, asked=now())) == table.rows[ECHO]

        assert table.looks == looks


async def test_a_kind_that_was_just_registered_is_taken() -> None:
    table = Registered(echo=None)
    async with cache(table) as made:
        table.add(MAIL)

        served = await made.check(MAIL, {}, asked=now())

    assert served == table.rows[MAIL]


async def test_a_kind_that_nobody_registered_is_refused_after_a_look_with_the_nearest_named() -> None:
    table = Registered(echo=None)
    table.add(MAIL)
    async with cache(table) as made:
        looks = table.looks
        with pytest.raises(UnknownKind) as refused:
            await made.check(Kind("mail.sent"), {}, asked=now())

        assert refused.value.nearest == (MAIL,)
        assert table.looks == looks + 1


async def test_requests_that_must_look_at_the_same_time_share_the_looks() -> None:
    table = Registered(echo=None)
    async with cache(table) as made:
        looks, asked = table.looks, now()
        checks = (made.check(Kind(f"unknown{n}"), {}, asked=asked) for n in range(100))
        answers = await asyncio.gather(*checks, return_exceptions=True)

    assert all(isinstance(answer, UnknownKind) for answer in answers)
    assert table.looks == looks + 1


async def test_until_a_first_consumer_has_registered_every_kind_is_taken() -> None:
    table = Registered()
    async with cache(table) as made:
        assert await made.check(MAIL, {}, asked=now()) is None

        table.add(ECHO)
        with pytest.raises(UnknownKind):
            await made.check(MAIL, {}, asked=now() + module.FRESH_FOR_UNKNOWN_SECONDS + 0.01)


async def test_unknown_kinds_are_taken_where_the_operator_says_so() -> None:
    table = Registered(echo=None)
    async with cache(table, refuse=False) as made:
        looks = table.looks
        assert await made.check(MAIL, {}, asked=made._read_at) is None
        assert table.looks == looks

        assert await made.check(MAIL, {}, asked=now() + module.FRESH_FOR_UNKNOWN_SECONDS + 0.01) is None


async def test_a_kind_that_was_just_registered_is_noticed_where_unknown_ones_are_taken() -> None:
    table = Registered(echo=None)
    async with cache(table, refuse=False) as made:
        table.add(MAIL, TO_SOMEBODY)
        later = now() + module.FRESH_FOR_UNKNOWN_SECONDS + 0.01

        assert await made.check(MAIL, {"to": "you"}, asked=later) == table.rows[MAIL]
        with pytest.raises(PayloadRefused):
            await made.check(MAIL, {}, asked=later)


async def test_a_payload_that_does_not_fit_is_refused_with_its_places_and_without_its_values() -> None:
    table = Registered()
    table.add(MAIL, TO_SOMEBODY)
    async with cache(table) as made:
        assert await made.check(MAIL, {"to": "you"}, asked=now())
        with pytest.raises(PayloadRefused) as refused:
            await made.check(MAIL, {"to": 31337}, asked=now())

    [flaw] = refused.value.flaws
    assert flaw.path == ("to",)
    assert "string" in flaw.detail
    assert "31337" not in flaw.detail


async def test_a_refusal_does_not_repeat_properties_without_end() -> None:
    table = Registered()
    table.add(MAIL, {"properties": {"to": {}}, "additionalProperties": False})
    async with cache(table) as made:
        with pytest.raises(PayloadRefused) as refused:
            await made.check(MAIL, {f"k{number}": 0 for number in range(1000)}, asked=now())

    [flaw] = refused.value.flaws
    assert flaw.detail.startswith("Additional properties are not allowed ('k0'")
    assert len(flaw.detail) == module.LONGEST_DETAIL


@pytest.mark.parametrize("shape", [list, lambda values: {f"k{at}": value for at, value in enumerate(values)}])
@pytest.mark.parametrize(("more", "told"), [(0, MOST_FLAWS), (1, 1)])
async def test_of_too_many_values_only_the_first_flaw_is_looked_for(
    shape: Callable[[list[int]], Any], more: int, told: int
) -> None:
    """The validator would make all of them first."""
    table = Registered()
    each = {"type": "string"}
    table.add(MAIL, {"properties": {"to": {"items": each, "additionalProperties": each}}})
    payload = {"to": shape([0] * (module.MOST_VALUES - 1 + more))}
    async with cache(table) as made:
        with pytest.raises(PayloadRefused) as refused:
            await made.check(MAIL, payload, asked=now())

    assert len(refused.value.flaws) == told
    assert refused.value.flaws[0].path == ("to", 0 if shape is list else "k0")


async def test_a_payload_that_fits_a_schema_newer_than_the_cache_is_taken() -> None:
    table = Registered()
    table.add(MAIL, TO_SOMEBODY)
    async with cache(table) as made:
        table.add(MAIL, {"type": "object"})

        assert await made.check(MAIL, {"to": 1}, asked=now()) == table.rows[MAIL]


@pytest.mark.parametrize(
    "schema",
    [{"type": "zzz"}, {"$ref": "http://example.invalid/schema"}, {"$ref": "#/nowhere"}, {"pattern": "("}],
)
async def test_a_schema_that_is_none_refuses_nothing_and_fetches_nothing(schema: dict[str, Any]) -> None:
    table = Registered()
    table.add(MAIL, schema)
    async with cache(table) as made:
        assert await made.check(MAIL, {"to": 1}, asked=now()) == table.rows[MAIL]


async def test_while_postgresql_is_away_known_kinds_go_on_and_others_cannot_be_told() -> None:
    table = Registered(echo=None)
    async with cache(table) as made:
        table.away = True
        made._read_at -= module.FRESH_SECONDS + 1
        assert await made.check(ECHO, {}, asked=now()) == table.rows[ECHO]
        with pytest.raises(StoreUnavailable):
            await made.check(MAIL, {}, asked=now())
        table.away = False

        async def refreshed() -> bool:
            await made.check(ECHO, {}, asked=now())
            return now() - made._read_at < module.FRESH_SECONDS

        await eventually(refreshed)


async def test_an_aging_cache_is_refreshed_behind_the_request() -> None:
    table = Registered(echo=None)
    async with cache(table) as made:
        looks = table.looks
        made._read_at = now() - module.AGING_SECONDS - 0.01
        assert await made.check(ECHO, {}, asked=now())
        assert table.looks == looks
        await eventually(lambda: table.looks == looks + 1)


async def test_an_old_cache_is_read_before_it_answers() -> None:
    table = Registered(echo=None)
    table.add(MAIL)
    async with cache(table) as made:
        table.rows[ECHO] = Served(ECHO, None, 3, 1.0)
        table.add(MAIL, TO_SOMEBODY)
        looks = table.looks
        made._read_at -= module.FRESH_SECONDS + 1
        asked = now()
        answers = await asyncio.gather(
            *(made.check(ECHO, {}, asked=asked) for _ in range(100)),
            made.check(MAIL, {}, asked=asked),
            return_exceptions=True,
        )

    assert answers[:-1] == [table.rows[ECHO]] * 100
    assert isinstance(answers[-1], PayloadRefused)
    assert table.looks == looks + 1


async def test_while_postgresql_is_silent_known_kinds_go_on_after_one_short_wait() -> None:
    table = Registered(echo=None)
    async with cache(table) as made:
        table.silent = True
        made._read_at -= module.FRESH_SECONDS + 1
        asked = now()
        for _ in range(20):
            assert await made.check(ECHO, {}, asked=asked) == table.rows[ECHO]

        assert module.WAIT_SECONDS <= now() - asked < 2 * module.WAIT_SECONDS
        table.silent = False


async def test_a_look_that_hangs_ends_in_time() -> None:
    class Hangs(Registered):
        async def kinds(self) -> dict[Kind, Served]:
            await asyncio.sleep(30)
            return {}

    made = Kinds(Hangs(), refuse_unknown=True, report=lambda _: None)
    made._patience = Patience(timedelta(seconds=0.05))
    answers = await asyncio.gather(
        *(made.check(MAIL, {}, asked=now()) for _ in range(10)), return_exceptions=True
    )

    assert all(isinstance(answer, StoreUnavailable) for answer in answers)
