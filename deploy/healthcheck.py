"""Tells a container runtime whether the API in this container is alive, with the standard library alone.

It refuses to judge the stores (that is /readyz: an outage of PostgreSQL must not restart every container) and the
other roles, which have no port: a consumer's health is its lease, and the runtime itself sees its process end.
"""

import http.client
import os
import re
import sys
from pathlib import Path

TIMEOUT_SECONDS = 3.0  # below the timeout of HEALTHCHECK, so that the line below is what the runtime records

# Process 1 is the command itself, or an init whose arguments end with the command.
_API = re.compile(r"(?:-m|\bsluice) api\b(?:.*--port[ =](?P<port>\d+))?")
_LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - names what the API listens on


def main() -> int:
    """Exit status: 0 alive, or of a role without a port; 1 after a line on stderr that says what was seen."""
    command = Path("/proc/1/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    api = _API.search(command)
    if api is None:
        return 0
    listens_on = os.environ.get("API_HOST", "")
    host = _LOOPBACK.get(listens_on, listens_on)
    port = int(api["port"] or os.environ.get("API_PORT", "8000"))
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/livez")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        print(f"no answer from {host}:{port}/livez: {error}", file=sys.stderr)
        return 1
    finally:
        connection.close()
    if status != http.HTTPStatus.OK:
        print(f"{host}:{port}/livez answered {status}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
