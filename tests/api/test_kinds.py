"""Kinds are refused only after they were read again (A2 kinds)."""

from __future__ import annotations

import asyncio

import pytest

from sluice.api.submit import kinds as module
from sluice.core.errors import PayloadRefused, UnknownKind
from sluice.core.task import Kind
from tests.api.registering import ECHO, MAIL, TO_SOMEBODY, Registered, cache, now


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
