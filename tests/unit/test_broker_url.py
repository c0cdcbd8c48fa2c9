from __future__ import annotations

import pytest

from sluice.core.errors import ConfigurationError
from sluice.db.broker import Broker


@pytest.mark.parametrize(
    ("url", "flaw"),
    [
        ("redis://h:abc", "cannot be parsed: look at the port"),
        ("redis://h:99999", "cannot be parsed: look at the port"),
        ("redis://:pa/ss:word@h", "cannot be parsed: look at the port"),
        ("redis://h/0?foo=bar", "cannot be used: look at its option foo$"),
        ("redis://h?db=first", "cannot be used: look at its option db$"),
        ("unix:///tmp/socket?ssl_certfile=x", "cannot be used: look at its option ssl_certfile$"),
        ("rediss://h?ssl_cert_reqs=maybe", "cannot be "),
    ],
)
async def test_a_wrong_url_is_named_by_its_variable_before_anything_is_opened(url: str, flaw: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^REDIS_URL {flaw}") as refused:
        Broker(url)
    assert "pa" not in str(refused.value).removeprefix("REDIS_URL cannot be parsed").partition("percent")[0]
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["redis://u:p@h:1/2", "rediss://h?ssl_cert_reqs=none", "unix:///tmp/socket?db=1"]
)
async def test_a_right_url_is_taken(url: str) -> None:
    await Broker(url).close()


async def test_a_url_changes_nothing_that_must_be_as_it_is() -> None:
    broker = Broker("redis://h?socket_timeout=60&decode_responses=yes&db=3")
    options = broker.commands.connection_pool.connection_kwargs
    assert (options["socket_timeout"], options["decode_responses"], options["db"]) == (0.9, False, 3)
    await broker.close()
