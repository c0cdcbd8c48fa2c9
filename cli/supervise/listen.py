"""Whether an address can be listened on, asked before anything is started. Keeps no socket."""

from __future__ import annotations

import errno
import socket

from core.errors import ConfigurationError


def check_address(host: str, port: int) -> int:
    """The port that `host` can listen on: `port`, or a free one for 0.

    Raises ConfigurationError with a line that says what to do.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror:
        raise ConfigurationError(f"{host!r} is no address of this machine: set --host or API_HOST") from None
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as refused:
            raise ConfigurationError(_advice(host, port, refused)) from None
        return int(probe.getsockname()[1])


def reachable(host: str) -> str:
    """`host` as a client on this machine writes it in a URL."""
    if host in {"0.0.0.0", ""}:  # noqa: S104 - to recognise it, not to bind it
        return "127.0.0.1"
    if host == "::":
        return "[::1]"
    return f"[{host}]" if ":" in host else host


def _advice(host: str, port: int, refused: OSError) -> str:
    if refused.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use: stop what listens there, or choose another with --port"
    if refused.errno == errno.EACCES:
        return f"port {port} on {host} needs root: choose one above 1023 with --port"
    return f"cannot listen on {host} port {port}: {refused.strerror}; set --host and --port"
