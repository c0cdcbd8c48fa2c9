"""Payloads are refused by the schema of their kind, with places and without values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sluice.api.problems.errors import MOST_FLAWS
from sluice.api.submit import kinds as module
from sluice.core.errors import PayloadRefused
from tests.api.registering import MAIL, TO_SOMEBODY, Registered, cache, now


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
