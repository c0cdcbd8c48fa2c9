"""Tells a container runtime whether the API in this container is alive, with the standard library alone.

It refuses to judge the stores (that is /readyz: an outage of PostgreSQL must not restart every container) and the
other roles, which have no port: a consumer's health is its lease, and the runtime itself sees its process end.
"""

import http.client
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

TIMEOUT_SECONDS = 3.0  # below the timeout of HEALTHCHECK, so that the line below is what the runtime records

_API = re.compile(r"(?:-m|\bsluice) api\b")
_HOST = re.compile(r"--host[ =](\S+)")
_PORT = re.compile(r"--port[ =](\d+)")
# An address that means "all of them" is reached by the loopback one.
_LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - names what the API listens on


def address(command: str, environment: Mapping[str, str]) -> tuple[str, int] | None:
    """Where the API that `command` starts listens; None when it starts something else.

    `command` is that of process 1: the role's own, or an init's, whose arguments end with it.
    """
    if _API.search(command) is None:
        return None
    host = _first(_HOST, command) or environment.get("API_HOST", "")
    port = _first(_PORT, command) or environment.get("API_PORT", "8000")
    return _LOOPBACK.get(host, host), int(port)


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return found[1] if found else None


def trouble(host: str, port: int) -> str | None:
    """What is wrong with the answer of /livez; None when it is 200."""
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/livez")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"{host} port {port} does not answer /livez: {error}"
    finally:
        connection.close()
    return None if status == http.HTTPStatus.OK else f"{host} port {port} answered /livez with {status}"


def main() -> int:
    """Exit status: 0 alive, or of a role without a port; 1 after a line on stderr that says what was seen."""
    command = Path("/proc/1/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    listening = address(command, os.environ)
    found = listening and trouble(*listening)
    if found:
        print(found, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
