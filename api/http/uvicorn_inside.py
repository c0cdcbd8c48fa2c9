"""What is taken from uvicorn's inside, which no version of it promises: all of it passes through here. Adds nothing.

A test looks for each name below in the uvicorn that is installed, and fails when one has moved.
"""

from __future__ import annotations

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

__all__ = ["STATUS_LINE", "FlowControl", "HttpToolsProtocol", "RequestResponseCycle"]

Inside = tuple[tuple[str, ...], dict[str, tuple[str, ...]]]
"""Attributes; and methods, with the names of their parameters."""

OF_PROTOCOL: Inside = (
    (
        "connections",
        "cycle",
        "flow",
        "headers",
        "loop",
        "parser",
        "pipeline",
        "transport",
        "url",
    ),
    {
        "connection_made": ("transport",),
        "connection_lost": ("exc",),
        "on_message_begin": (),
        "on_headers_complete": (),
        "on_body": ("body",),
        "on_message_complete": (),
        "on_response_complete": (),
        "_unset_keepalive_if_required": (),
        "_start_asgi_task": ("cycle", "app"),
    },
)
"""What http/connection.py reads, sets, calls and is called by."""
OF_CYCLE = ("body", "keep_alive", "response_complete", "response_started")
OF_FLOW = {"pause_reading": (), "resume_reading": ()}
OF_SERVER: Inside = (
    ("force_exit", "lifespan", "server_state", "should_exit"),
    {
        "startup": ("sockets",),
        "shutdown": ("sockets",),
        "on_tick": ("counter",),
        "capture_signals": (),
    },
)
"""The same for api/server.py."""
