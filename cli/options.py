"""How options are written and what --help says about them. Reads none of them, and gives none its default value."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from typer import Argument, BadParameter, Option

from sluice.cli.times import Since, seconds, time_limit
from sluice.core.names import queues, split
from sluice.core.process.command_line import HIGHEST_PORT, MOST_PROCESSES
from sluice.core.task import Status


class Output(StrEnum):
    """How data is printed on stdout."""

    TABLE = "table"
    JSON = "json"


def _named(value: str | None) -> str | None:
    if value is not None:
        try:
            queues(split(value))
        except ValueError as error:
            raise BadParameter(str(error)) from None
    return value


Host = Annotated[str | None, Option(metavar="ADDRESS", help="Listen here. [default: API_HOST or 127.0.0.1]")]
Port = Annotated[
    int | None,
    Option(min=0, max=HIGHEST_PORT, metavar="N", help="Listen on it. [default: API_PORT or 8000]"),
]
Workers = Annotated[
    int | None, Option(min=1, max=MOST_PROCESSES, metavar="N", help="API processes. [default: 1]")
]
Ephemeral = Annotated[bool, Option("--ephemeral", help="Forget the data at the end.")]
WithConsumer = Annotated[bool, Option("--with-consumer", help="Run a consumer inside each API process.")]
Queues = Annotated[
    str | None,
    Option(metavar="NAMES", callback=_named, help="Queues to serve, such as a,b. [default: QUEUES]"),
]
Processes = Annotated[
    int | None, Option(min=1, max=MOST_PROCESSES, metavar="N", help="Run so many child processes.")
]
Reload = Annotated[
    bool,
    Option("--reload", help="Drain and start anew when a .py file changes, here or beside the HANDLERS."),
]
ReloadConsumer = Annotated[
    bool,
    Option("--reload", help="Restart the consumer, not the API, when a .py file of yours changes."),
]

Passed = Annotated[list[str] | None, Argument(metavar="ARGUMENT", hidden=True)]

Printed = Annotated[Output, Option("--output", "-o", help="A table for people, JSON for programs.")]
TaskId = Annotated[UUID, Argument(metavar="ID", show_default=False, help="A task's id.")]
TaskIds = Annotated[list[UUID], Argument(metavar="ID...", show_default=False, help="Ids of tasks.")]
WithStatus = Annotated[
    Status | None,
    Option(metavar="STATUS", help="Only these: pending, processing, completed, failed, canceled."),
]
Kind = Annotated[str | None, Option(metavar="NAME", help="Only tasks of this kind.")]
Queue = Annotated[str | None, Option(metavar="NAME", help="Only tasks of this queue.")]
Limit = Annotated[int, Option(min=1, metavar="N", help="How many.")]
From = Annotated[
    Since | None,
    Option(
        "--since",
        metavar="TIME",
        parser=Since.parse,
        help="Only tasks created in the last 30m, 2h or 1d, or since 2030-01-31T09:30:00Z.",
    ),
]
IdsOnly = Annotated[bool, Option("--quiet", "-q", help="Print ids alone, one a line, as for xargs.")]
Watched = Annotated[bool, Option("--watch", help="Draw the list anew every 2 seconds, until Ctrl-C.")]
Everything = Annotated[bool, Option("--all", help="All of them, whatever the limit.")]

Message = Annotated[
    str | None, Argument(metavar="MESSAGE", help="Text for the handler; with --kind it may be left out.")
]
NewKind = Annotated[str | None, Option(metavar="NAME", help="Which handler runs it. [default: echo]")]
NewQueue = Annotated[str | None, Option(metavar="NAME", help="Where it waits. [default: default]")]
Payload = Annotated[
    str | None, Option(metavar="JSON|@FILE|-", help="A JSON object, a file that holds one, or stdin.")
]
Priority = Annotated[int | None, Option(metavar="N", help="0 to 9, higher first. [default: 5]")]
Delay = Annotated[
    float | None,
    Option(metavar="TIME", parser=seconds, help="Not before so long from now: 90, 30s, 5m, 2h, 1d."),
]
RunAt = Annotated[str | None, Option(metavar="INSTANT", help="Not before it, such as 2030-01-31T09:30:00Z.")]
MaxAttempts = Annotated[int | None, Option(metavar="N", help="Tries before it fails. [default: 5]")]
Timeout = Annotated[
    float | None, Option(metavar="TIME", parser=seconds, help="For one try, such as 90s. [default: 1h]")
]
Count = Annotated[int, Option(min=1, metavar="N", help="Submit so many copies.")]
Wait = Annotated[bool, Option("--wait", help="Wait for the end; exit 1 unless completed.")]
WaitTimeout = Annotated[
    float | None, Option(metavar="TIME", parser=time_limit, help="Wait, but no longer than this, such as 5m.")
]
