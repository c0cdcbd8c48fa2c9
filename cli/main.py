"""`sluice`: the commands and their options. Does none of the work and imports nothing heavy until a command runs.

Exit statuses: 0 done, 1 a failure told in one line on stderr, 2 wrong usage, 130 Ctrl-C where nothing is to be drained.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import typer

from core.errors import SluiceError
from core.task import Status

app = typer.Typer(
    help="A durable task service: HTTP in, PostgreSQL as the truth, Redis for speed. `sluice up` runs all of it here.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
RUN = "Run it"
ASK = "Ask the API at SLUICE_URL (http://127.0.0.1:8000 unless set)"


class Output(StrEnum):
    """How data is printed on stdout."""

    TABLE = "table"
    JSON = "json"


Host = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Address to listen on. [default: API_HOST or 127.0.0.1]")
]
Port = Annotated[
    int | None,
    typer.Option(min=0, max=65535, metavar="N", help="Port to listen on. [default: API_PORT or 8000]"),
]
Workers = Annotated[int | None, typer.Option(min=1, max=256, metavar="N", help="API processes. [default: 1]")]
Printed = Annotated[Output, typer.Option("--output", "-o", help="A table for people, JSON for programs.")]
TaskId = Annotated[UUID, typer.Argument(metavar="ID", show_default=False, help="A task's id.")]
TaskIds = Annotated[list[UUID], typer.Argument(metavar="ID...", show_default=False, help="Ids of tasks.")]


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - how typer calls it
    if wanted:
        from importlib.metadata import version as installed

        typer.echo(f"sluice {installed('sluice')}")
        raise typer.Exit


@app.callback()
def _sluice(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    pass


@app.command(rich_help_panel=RUN)
def up(
    *,
    host: Host = None,
    port: Port = None,
    workers: Workers = None,
    ephemeral: Annotated[bool, typer.Option("--ephemeral", help="Forget the data at the end.")] = False,
) -> None:
    """Run everything here: PostgreSQL, Valkey, the API and a consumer. Ctrl-C stops all of it.

    Servers that DATABASE_URL and REDIS_URL name are used instead of embedded ones. Data lives in .sluice/.
    """
    from cli import up as command

    raise typer.Exit(command.run(ephemeral=ephemeral, host=host, port=port, workers=workers))


@app.command(rich_help_panel=RUN)
def api(
    *,
    host: Host = None,
    port: Port = None,
    workers: Workers = None,
    with_consumer: Annotated[
        bool, typer.Option("--with-consumer", help="Run a consumer inside each API process.")
    ] = False,
) -> None:
    """Run the API. Needs DATABASE_URL and REDIS_URL."""
    from api import server

    raise typer.Exit(server.run(host=host, port=port, workers=workers, with_consumer=with_consumer))


@app.command(rich_help_panel=RUN)
def consumer(
    *,
    queues: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Queues to serve, such as a,b. [default: QUEUES]")
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, max=256, metavar="N", help="Run so many child processes.")
    ] = None,
) -> None:
    """Run a consumer. Needs DATABASE_URL and REDIS_URL; HANDLERS names your modules."""
    from consumer import main as command

    raise typer.Exit(command.run(queues=queues, processes=processes))


@app.command(rich_help_panel=RUN)
def migrate() -> None:
    """Bring the database to the newest schema. Needs only DATABASE_URL; safe from many places at once."""
    from cli import migrate as command

    raise typer.Exit(command.run())


@app.command(rich_help_panel=RUN)
def version() -> None:
    """Print the version."""
    _print_version(wanted=True)


@app.command(rich_help_panel=ASK)
def submit(
    *,
    message: Annotated[
        str | None,
        typer.Argument(metavar="MESSAGE", help="Text for the handler; with --kind it may be left out."),
    ] = None,
    kind: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which handler runs it. [default: echo]")
    ] = None,
    payload: Annotated[
        str | None,
        typer.Option(metavar="JSON|@FILE|-", help="A JSON object, a file that holds one, or stdin."),
    ] = None,
    queue: Annotated[
        str | None, typer.Option(metavar="NAME", help="Where it waits. [default: default]")
    ] = None,
    priority: Annotated[
        int | None, typer.Option(metavar="N", help="0 to 9, higher first. [default: 5]")
    ] = None,
    delay: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Not before so long from now.")
    ] = None,
    run_at: Annotated[
        str | None, typer.Option(metavar="TIME", help="Not before this time (RFC 3339).")
    ] = None,
    max_attempts: Annotated[
        int | None, typer.Option(metavar="N", help="Tries before it fails. [default: 5]")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="For one try. [default: 3600]")
    ] = None,
    count: Annotated[int, typer.Option(min=1, metavar="N", help="Submit so many copies.")] = 1,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end; exit 1 unless completed.")] = False,
    wait_timeout: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="Wait, but no longer than this.")
    ] = None,
    output: Printed = Output.TABLE,
) -> None:
    """Submit a task and print its id, or with --wait its result.

    With --count the ids are printed, one a line, or with --wait how many tasks ended how. With -o json it is the task
    as one object, or {"ids": [...]} with --count, joined by "statuses": {"completed": 3} with --wait.
    """
    if message is None and kind is None:
        raise typer.BadParameter("give a MESSAGE, or a --kind that needs none")
    from cli import tasks
    from cli.submission import Submission, read_payload

    submission = Submission(
        message=message,
        kind=kind,
        payload=None if payload is None else read_payload(payload),
        queue=queue,
        priority=priority,
        delay=delay,
        run_at=run_at,
        max_attempts=max_attempts,
        timeout=timeout,
        count=count,
    )
    waits = wait or wait_timeout is not None
    as_json = output is Output.JSON
    raise typer.Exit(tasks.submit(submission, waits=waits, wait_timeout=wait_timeout, as_json=as_json))


@app.command(rich_help_panel=ASK)
def show(task_id: TaskId, *, output: Printed = Output.TABLE) -> None:
    """Print one task. -o json prints one object."""
    from cli import tasks

    raise typer.Exit(tasks.show(str(task_id), as_json=output is Output.JSON))


@app.command("list", rich_help_panel=ASK)
def list_(
    *,
    status: Annotated[Status | None, typer.Option(help="Only tasks with this status.")] = None,
    kind: Annotated[str | None, typer.Option(metavar="NAME", help="Only tasks of this kind.")] = None,
    queue: Annotated[str | None, typer.Option(metavar="NAME", help="Only tasks of this queue.")] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="How many.")] = 50,
    everything: Annotated[bool, typer.Option("--all", help="All of them, whatever the limit.")] = False,
    output: Printed = Output.TABLE,
) -> None:
    """Print tasks, newest first. -o json prints one array."""
    from cli import tasks

    filters = {name: value for name, value in (("status", status), ("kind", kind), ("queue", queue)) if value}
    as_json = output is Output.JSON
    raise typer.Exit(tasks.list_tasks(filters, limit=None if everything else limit, as_json=as_json))


@app.command(rich_help_panel=ASK)
def cancel(task_ids: TaskIds, *, output: Printed = Output.TABLE) -> None:
    """Cancel tasks: what waits never starts, what runs is stopped. -o json prints one array."""
    from cli import tasks

    raise typer.Exit(tasks.cancel([str(task_id) for task_id in task_ids], as_json=output is Output.JSON))


@app.command(rich_help_panel=ASK)
def retry(task_ids: TaskIds, *, output: Printed = Output.TABLE) -> None:
    """Run failed or canceled tasks again, with a fresh budget of tries. -o json prints one array."""
    from cli import tasks

    raise typer.Exit(tasks.retry([str(task_id) for task_id in task_ids], as_json=output is Output.JSON))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status. A failure of ours is one line on stderr, never a traceback."""
    try:
        app(arguments, prog_name="sluice")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except SluiceError as error:
        from cli import render

        render.error(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
