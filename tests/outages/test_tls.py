"""A silent Redis behind TLS: closing there waits for a farewell that never comes, and a drain must not (C3, S2)."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sluice.cli.embedded import Urls
from tests.outages.conftest import Own
from tests.support.consuming import Consumers, consumers_of
from tests.support.counting import payload, statuses
from tests.support.eventually import eventually
from tests.support.proxy import Proxy, proxied
from tests.support.stores import Stores, new

DRAIN, GRACE = 0.5, 1.0


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """Of a server that nobody knows."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command, to make a certificate")
    where = tmp_path_factory.mktemp("tls")
    files = ("-keyout", where / "key.pem", "-out", where / "certificate.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", *files],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(where / "certificate.pem", where / "key.pem")
    return context


@pytest.fixture
async def encrypted(own: Own, certificate: ssl.SSLContext) -> AsyncIterator[Proxy]:
    """Redis behind TLS, and a proxy before that."""
    async with proxied(own.urls.redis_url) as plain:
        server = await asyncio.start_server(plain._serve, "127.0.0.1", 0, ssl=certificate)
        port = server.sockets[0].getsockname()[1]
        async with proxied(f"redis://127.0.0.1:{port}") as proxy:
            yield proxy
        server.close()


@pytest.fixture
async def consumers(
    own: Own, encrypted: Proxy, redis_prefix: str, tmp_path: Path
) -> AsyncIterator[Consumers]:
    """Consumers that reach Redis over TLS."""
    url = encrypted.url.replace("redis://", "rediss://") + "?ssl_cert_reqs=none"
    async with consumers_of(
        Urls(database_url=own.urls.database_url, redis_url=url), redis_prefix, tmp_path
    ) as them:
        yield them


async def test_a_redis_that_falls_silent_behind_tls_holds_up_no_drain(
    stores: Stores, consumers: Consumers, encrypted: Proxy
) -> None:
    consumer = await consumers.start(DRAIN_SECONDS=str(DRAIN), WORKER_QUEUE_MAXSIZE="2")
    await stores.submit_and_push([new("nap", payload=payload(until=str(consumers.file("end"))))])
    await eventually(lambda: consumers.runs("started"))
    encrypted.hang()
    status, seconds = await consumer.stop()
    assert (status, consumer.said) == (0, [])
    assert seconds < DRAIN + GRACE
    assert await statuses(stores) == {"pending": 1}
    assert await stores.browse.consumers() == []
