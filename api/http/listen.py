"""The socket on which the API listens, taken before anything else is started. Accepts nothing."""

from __future__ import annotations

import errno
import socket

from sluice.core.errors import ConfigurationError

BACKLOG = 2048
"""Connections that wait to be accepted."""


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens on the first address of `host`. Who connects before it is served waits for that.

    Listening at once is what makes the port ours: two sockets that only bind may share one. Raises ConfigurationError
    with a line that says what to do.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError):
        raise ConfigurationError(f"{host!r} is no address of this machine: set --host or API_HOST") from None
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as refused:
        listener.close()
        raise ConfigurationError(_advice(host, port, refused)) from None
    return listener


def url(listener: socket.socket) -> str:
    """Where it is reached, for people."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _advice(host: str, port: int, refused: OSError) -> str:
    if refused.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use: stop what listens there, or choose another with --port"
    if refused.errno == errno.EACCES:
        return f"port {port} on {host} needs root: choose one above 1023 with --port"
    return f"cannot listen on {host} port {port}: {refused.strerror}; set --host and --port"
