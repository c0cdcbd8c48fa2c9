"""`sluice`: the commands and their options. Does none of the work and imports nothing heavy until a command runs.

Exit statuses: 0 done, 1 a failure told in one line on stderr, 2 wrong usage, 130 Ctrl-C where nothing is to be drained.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from sluice.cli import options
from sluice.cli.flags import Commands
from sluice.cli.options import Output
from sluice.core.errors import SluiceError
from sluice.core.process.command_line import end_at_signals

app = Commands(
    help="A durable task service: HTTP in, PostgreSQL as the truth, Redis for speed. `sluice up` runs all of it here.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
RUN = "Run it"
ASK = "Ask the API at SLUICE_URL, or else where API_HOST and API_PORT say"


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - how typer calls it
    if wanted:
        from importlib.metadata import version as installed

        typer.echo(f"sluice {installed('sluice-tasks')}")
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
    host: options.Host = None,
    port: options.Port = None,
    workers: options.Workers = None,
    ephemeral: options.Ephemeral = False,
    reload: options.ReloadConsumer = False,
) -> None:
    """Run everything here: PostgreSQL, Valkey, the API and a consumer. Ctrl-C stops all of it.

    Servers that DATABASE_URL and REDIS_URL name are used instead of embedded ones. Data lives in .sluice/.
    """
    from sluice.cli import up as command

    raise typer.Exit(command.run(ephemeral=ephemeral, host=host, port=port, workers=workers, reload=reload))


@app.command(rich_help_panel=RUN)
def api(
    *,
    host: options.Host = None,
    port: options.Port = None,
    workers: options.Workers = None,
    with_consumer: options.WithConsumer = False,
) -> None:
    """Run the API. Needs DATABASE_URL and REDIS_URL."""
    end_at_signals()
    from sluice.api import server

    raise typer.Exit(server.run(host=host, port=port, workers=workers, with_consumer=with_consumer))


@app.command(rich_help_panel=RUN)
def consumer(
    *,
    queues: options.Queues = None,
    processes: options.Processes = None,
    reload: options.Reload = False,
) -> None:
    """Run a consumer. Needs DATABASE_URL and REDIS_URL; HANDLERS names your modules."""
    end_at_signals()
    if reload:
        from sluice.consumer import reload as reloading

        raise typer.Exit(reloading.run(queues=queues, processes=processes))
    from sluice.consumer import main as command

    raise typer.Exit(command.run(queues=queues, processes=processes))


@app.command(rich_help_panel=RUN)
def migrate() -> None:
    """Bring the database to the newest schema. Needs only DATABASE_URL; safe from many places at once."""
    from sluice.cli import migrate as command

    raise typer.Exit(command.run())


@app.command(
    rich_help_panel=RUN,
    context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]},
)
def psql(arguments: options.Passed = None) -> None:
    """Open psql on DATABASE_URL, or on the server of a `sluice up` that runs in this directory.

    Everything behind it goes to psql as it is, such as -c 'SELECT count(*) FROM tasks'.
    """
    from sluice.cli import psql as command

    command.run(arguments or [])


@app.command(rich_help_panel=RUN)
def version() -> None:
    """Print the version."""
    _print_version(wanted=True)


@app.command(rich_help_panel=ASK)
def submit(
    *,
    message: options.Message = None,
    kind: options.NewKind = None,
    payload: options.Payload = None,
    queue: options.NewQueue = None,
    priority: options.Priority = None,
    delay: options.Delay = None,
    run_at: options.RunAt = None,
    max_attempts: options.MaxAttempts = None,
    timeout: options.Timeout = None,
    count: options.Count = 1,
    wait: options.Wait = False,
    wait_timeout: options.WaitTimeout = None,
    output: options.Printed = Output.TABLE,
) -> None:
    """Submit a task and print its id, or with --wait its result.

    With --count the ids are printed, one a line, or with --wait how many tasks ended how. With -o json it is the task
    as one object, or {"ids": [...]} with --count, joined by "statuses": {"completed": 3} with --wait.
    """
    if message is None and kind is None:
        raise typer.BadParameter("give a MESSAGE, or a --kind that needs none")
    from sluice.cli import tasks
    from sluice.cli.submission import Submission, read_payload

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
def show(task_id: options.TaskId, *, output: options.Printed = Output.TABLE) -> None:
    """Print one task. -o json prints one object."""
    from sluice.cli import tasks

    raise typer.Exit(tasks.show(str(task_id), as_json=output is Output.JSON))


@app.command("list", rich_help_panel=ASK)
def list_(
    *,
    status: options.WithStatus = None,
    kind: options.Kind = None,
    queue: options.Queue = None,
    since: options.From = None,
    limit: options.Limit = 50,
    everything: options.Everything = False,
    quiet: options.IdsOnly = False,
    watch: options.Watched = False,
    output: options.Printed = Output.TABLE,
) -> None:
    """Print tasks, newest first. -o json prints one array."""
    as_json = output is Output.JSON
    if quiet + watch + as_json > 1:
        raise typer.BadParameter("give one of --quiet, --watch and -o json")
    from sluice.cli import listing

    fields = {name: value for name, value in (("status", status), ("kind", kind), ("queue", queue)) if value}
    filters, most = listing.Filters(fields, since), None if everything else limit
    if watch:
        raise typer.Exit(listing.watch_tasks(filters, limit=most))
    raise typer.Exit(listing.list_tasks(filters, limit=most, as_json=as_json, ids_only=quiet))


@app.command(rich_help_panel=ASK)
def cancel(task_ids: options.TaskIds, *, output: options.Printed = Output.TABLE) -> None:
    """Cancel tasks: what waits never starts, what runs is stopped. -o json prints one array."""
    from sluice.cli import tasks

    raise typer.Exit(tasks.cancel([str(task_id) for task_id in task_ids], as_json=output is Output.JSON))


@app.command(rich_help_panel=ASK)
def retry(task_ids: options.TaskIds, *, output: options.Printed = Output.TABLE) -> None:
    """Run failed or canceled tasks again, with a fresh budget of tries. -o json prints one array."""
    from sluice.cli import tasks

    raise typer.Exit(tasks.retry([str(task_id) for task_id in task_ids], as_json=output is Output.JSON))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status. A failure of ours is one line on stderr, never a traceback."""
    try:
        app(arguments, prog_name="sluice")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except SluiceError as error:
        from sluice.cli import render

        render.error(str(error))
        return 1
    except ModuleNotFoundError as missing:
        from sluice.cli import render
        from sluice.core.process.extras import lacking

        what = lacking(missing)
        if what is None:
            raise
        render.error(what)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
