"""`sluice submit`, `show`, `cancel`, `retry`: one function each, speaking HTTP to the API at SLUICE_URL.

Each returns its exit status. Knows nothing of how options are written (cli/main.py) and keeps no rule about tasks:
what is allowed, the API says.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sluice.cli import render, unserved
from sluice.cli.address import api_url
from sluice.cli.client import PAGE_LIMIT, Api, ApiRefused, Task
from sluice.cli.progress import Bar, WaitedTooLong, wait
from sluice.cli.submission import Submission
from sluice.cli.watch import Watch
from sluice.core.errors import SluiceError


def submit(submission: Submission, *, waits: bool, wait_timeout: float | None, as_json: bool) -> int:
    """Submit once or `count` times. With `waits`, 1 when a task does not complete."""
    with Api(api_url()) as api:
        if submission.count == 1:
            return _submit_one(api, submission, waits=waits, wait_timeout=wait_timeout, as_json=as_json)
        return _submit_many(api, submission, waits=waits, wait_timeout=wait_timeout, as_json=as_json)


def show(task_id: str, *, as_json: bool) -> int:
    """One task with every field that is set."""
    with Api(api_url()) as api:
        task = api.get(task_id)
        why = None if as_json else unserved.reason(api, task)
    if as_json:
        render.write_json(task)
    else:
        render.write_table(render.task_details(task))
    _note(why)
    return 0


def cancel(ids: Sequence[str], *, as_json: bool) -> int:
    """Cancel each; 1 when the API refuses one, after trying the others."""
    return _set_status(ids, "canceled", as_json=as_json)


def retry(ids: Sequence[str], *, as_json: bool) -> int:
    """Run failed or canceled tasks again; 1 when the API refuses one, after trying the others."""
    return _set_status(ids, "pending", as_json=as_json)


def _submit_one(
    api: Api, submission: Submission, *, waits: bool, wait_timeout: float | None, as_json: bool
) -> int:
    started = time.monotonic()
    task = api.submit(submission.text())
    task_id = task["id"]
    if waits:
        watch = Watch(api, [task_id])
        with _left_alone([task_id]):
            remark = unserved.WhileWaiting(api, watch)
            wait(watch, timeout=wait_timeout, hint=render.pointed([task_id]), remark=remark)
        task = watch.last or task
    if as_json:
        render.write_json(task)
    elif not waits:
        render.write_line(task_id)
        _note(unserved.reason(api, task))
    if not waits:
        return 0
    if task["status"] != "completed":
        render.error(render.failure(task))
        return 1
    if not as_json:
        render.note(f"completed {task_id} in {time.monotonic() - started:.2f} s")
        render.write_json(task["result"])
    return 0


def _submit_many(
    api: Api, submission: Submission, *, waits: bool, wait_timeout: float | None, as_json: bool
) -> int:
    started = time.monotonic()
    ids = _send_batches(api, submission)
    render.note(f"submitted {render.plural(len(ids), 'task')} in {time.monotonic() - started:.2f} s")
    if not waits:
        if as_json:
            render.write_json({"ids": ids})
        else:
            for task_id in ids:
                render.write_line(task_id)
            _note(unserved.reason_by_id(api, ids[0]))
        return 0
    page_limit = max(1, min(PAGE_LIMIT, (4 << 20) // len(submission.text())))
    watch = Watch(api, ids, page_limit=page_limit)
    try:
        with _left_alone(ids):
            remark = unserved.WhileWaiting(api, watch)
            wait(watch, timeout=wait_timeout, hint=render.pointed(ids), remark=remark)
    except (WaitedTooLong, KeyboardInterrupt):
        _tell_reasons(watch)
        raise
    seconds = time.monotonic() - started
    render.note(f"all ended in {seconds:.2f} s, {len(ids) / seconds:,.0f} tasks/s")
    if as_json:
        render.write_json({"ids": ids, "statuses": watch.counts})
    else:
        render.write_table(render.counts_table(watch.counts))
    if watch.counts["completed"] < len(ids):
        render.error(f"{render.plural(len(ids) - watch.counts['completed'], 'task')} did not complete")
        _tell_reasons(watch)
        return 1
    return 0


def _tell_reasons(watch: Watch) -> None:
    for line in watch.reasons.lines():
        render.tell(line)


def _note(why: str | None) -> None:
    if why:
        render.note(why)


def _send_batches(api: Api, submission: Submission) -> list[str]:
    text = submission.text()
    ids: list[str] = []
    try:
        with Bar("submitting", submission.count) as bar:
            for size in submission.batches():
                ids += api.submit_batch([text] * size)
                bar.show(len(ids))
    except (SluiceError, KeyboardInterrupt):
        if ids:
            render.note(
                f"{len(ids):,} of {submission.count:,} had been accepted before that, the last is {ids[-1]}"
            )
        raise
    return ids


@contextmanager
def _left_alone(ids: Sequence[str]) -> Iterator[None]:
    """Ctrl-C ends the waiting, not the tasks: say so."""
    try:
        yield
    except KeyboardInterrupt:
        render.note(f"stopped waiting; what is open goes on: {render.pointed(ids)}")
        raise


def _set_status(ids: Sequence[str], status: str, *, as_json: bool) -> int:
    changed: list[Task] = []
    try:
        with Api(api_url()) as api:
            for task_id in ids:
                try:
                    changed.append(api.set_status(task_id, status))
                except ApiRefused as refused:
                    render.error(str(refused) if task_id in str(refused) else f"{task_id}: {refused}")
    finally:
        if as_json:
            render.write_json(changed)
        elif changed:
            render.write_tasks(changed, was=status == "canceled")
    return 0 if len(changed) == len(ids) else 1
