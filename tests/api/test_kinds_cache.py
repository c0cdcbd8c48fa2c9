"""An old cache of the kinds answers nobody while PostgreSQL does (A2 kinds)."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from sluice.api.submit import kinds as module
from sluice.api.submit.kinds import Kinds
from sluice.api.timeout import Timeout
from sluice.core.errors import PayloadRefused, StoreUnavailable
from sluice.core.task import Kind
from sluice.db.browse import Served
from tests.api.registering import ECHO, MAIL, TO_SOMEBODY, Registered, cache, now
from tests.support.eventually import eventually


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
    made._timeout = Timeout(timedelta(seconds=0.05))
    answers = await asyncio.gather(
        *(made.check(MAIL, {}, asked=now()) for _ in range(10)), return_exceptions=True
    )

    assert all(isinstance(answer, StoreUnavailable) for answer in answers)
