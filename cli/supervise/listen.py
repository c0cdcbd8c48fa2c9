"""Whether an address can be listened on, asked before anything is started. Keeps no socket."""

from __future__ import annotations

from sluice.api.http import listen


def check_address(host: str, port: int) -> int:
    """The port that `host` can listen on: `port`, or a free one for 0.

    Raises ConfigurationError with a line that says what to do.
    """
    with listen.bind(host, port) as probe:
        return int(probe.getsockname()[1])
