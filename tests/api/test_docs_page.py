"""/docs: the page and its assets, which ask no other host for anything."""

from __future__ import annotations

import re
from urllib.parse import urljoin

import httpx2
import pytest


async def test_the_docs_ask_no_other_host(shared: httpx2.AsyncClient) -> None:
    page = await shared.get("/docs")

    assert page.status_code == 200
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?\s*(?:https?:)?//", page.text)
    assets = [urljoin("/docs", found) for found in re.findall(r"(?:src|href)=\"(\.[^\"]+)\"", page.text)]
    assert len(assets) == 3
    for asset in assets:
        response = await shared.get(asset)
        assert response.status_code == 200
        assert response.headers["content-type"].split(";")[0] in {"text/css", "text/javascript"}
        assert response.headers["etag"]
        assert not re.search(r"@import|url\(\s*[\"']?(?:https?:)?//", response.text)


@pytest.mark.parametrize("range_", ["bytes=abc", "bytes=99999999-", "bytes=0-9", "bytes=0-1,5-6"])
async def test_an_asset_comes_whole_whatever_part_is_asked_for(
    shared: httpx2.AsyncClient, range_: str
) -> None:
    whole = await shared.get("/docs/assets/start.js")
    response = await shared.get("/docs/assets/start.js", headers={"Range": range_})

    assert response.status_code == 200
    assert response.content == whole.content
    assert response.headers["accept-ranges"] == "none"


async def test_an_asset_that_did_not_change_is_not_sent_again(shared: httpx2.AsyncClient) -> None:
    etag = (await shared.get("/docs/assets/start.js")).headers["etag"]

    assert (await shared.get("/docs/assets/start.js", headers={"If-None-Match": etag})).status_code == 304


async def test_the_docs_allow_nothing_from_elsewhere(shared: httpx2.AsyncClient) -> None:
    policy = (await shared.get("/docs")).headers["content-security-policy"]

    assert "default-src 'none'" in policy
    assert not re.search(r"https?:|\*|unsafe-eval", policy)


async def test_the_licence_of_the_assets_comes_along(shared: httpx2.AsyncClient) -> None:
    assert "Apache License" in (await shared.get("/docs/assets/swagger-ui.LICENSE")).text
