"""Behind a proxy that serves the API under a prefix, which it takes away or leaves."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from urllib.parse import urljoin

import httpx2
import pytest

from sluice.cli.embedded import Urls
from tests.api.support import serving, settings

PREFIX = "/queue/v1"


@pytest.fixture(scope="module")
async def prefixed(own_database: str, redis_url: str, worker_id: str) -> AsyncIterator[httpx2.AsyncClient]:
    """An API that is reached under a prefix."""
    urls = Urls(database_url=own_database, redis_url=redis_url)
    chosen = settings(urls, f"{worker_id}-prefixed", unknown_kinds="accept", root_path=f"{PREFIX}/")
    async with serving(chosen) as client:
        yield client


@pytest.mark.parametrize("left", ["", PREFIX], ids=["taken away", "left"])
async def test_a_task_is_where_its_location_says(prefixed: httpx2.AsyncClient, left: str) -> None:
    response = await prefixed.post(f"{left}/tasks", json={"message": "x"})

    place = response.headers["location"]
    assert place == f"{PREFIX}/tasks/{response.json()['id']}"
    assert (await prefixed.get(place.removeprefix(PREFIX) if not left else place)).status_code == 200


@pytest.mark.parametrize("left", ["", PREFIX], ids=["taken away", "left"])
async def test_the_page_and_all_that_it_needs_are_under_the_prefix(
    prefixed: httpx2.AsyncClient, left: str
) -> None:
    page = f"{PREFIX}/docs"
    response = await prefixed.get(f"{left}/docs")
    assert response.status_code == 200
    links = re.findall(r'(?:href|src)="(?!data:)([^"]+)"', response.text)
    start = next(link for link in links if link.endswith("start.js"))
    script = (await prefixed.get(left + urljoin(page, start).removeprefix(PREFIX))).text
    links += re.findall(r'url: "([^"]+)"', script)

    assert len(links) >= 4
    for link in links:
        there = urljoin(page, link)
        assert there.startswith(f"{PREFIX}/")
        assert (await prefixed.get(left + there.removeprefix(PREFIX))).status_code == 200


async def test_the_document_names_the_prefix_as_its_server(prefixed: httpx2.AsyncClient) -> None:
    document = (await prefixed.get("/openapi.json")).json()

    assert [server["url"] for server in document["servers"]] == [PREFIX]
    assert "/tasks" in document["paths"]


async def test_probes_answer_with_and_without_it(prefixed: httpx2.AsyncClient) -> None:
    for path in ("/livez", "/readyz", "/health"):
        assert (await prefixed.get(path)).status_code == 200
        assert (await prefixed.get(PREFIX + path)).status_code == 200
    assert (await prefixed.get(f"{PREFIX}x/livez")).status_code == 404
