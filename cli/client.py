"""The HTTP API as calls that return decoded JSON or raise one of two errors. Knows nothing of terminals.

Every answer that is not what was asked for becomes an error here: a problem document becomes ApiRefused with
its pointers, silence becomes ApiUnreachable. A POST is never repeated: it might submit twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2

from sluice.core.errors import ConfigurationError, SluiceError
from sluice.core.urls import without_userinfo

Task = dict[str, Any]
"""A task as the API shows it."""

PAGE_LIMIT = 500
"""The most rows that the API puts on one page."""

_UNKNOWN_KIND = "urn:sluice:problem:unknown-kind"
_PROXIES = "ALL_PROXY, HTTP_PROXY and HTTPS_PROXY"
_TIMEOUT = httpx2.Timeout(60.0, connect=5.0)
_HEALTH_TIMEOUT = 2.0
"""It is only for a remark, and is due within 100 ms."""


class ApiUnreachable(SluiceError):
    """Nothing answers at the address, or the answer cannot be read. What was sent may have taken effect."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"no answer from {url} ({reason}): is `sluice up` running? If it is elsewhere, set SLUICE_URL"
        )
        self.url = url
        self.reason = reason


class ApiRefused(SluiceError):
    """The API answered with a problem document. `flaws` are (pointer or parameter, detail) pairs, if it validated."""

    def __init__(
        self, status: int, title: str, detail: str, flaws: Iterable[tuple[str, str]] = (), *, name: str = ""
    ) -> None:
        self.status = status
        self.name = name
        self.title = title
        self.detail = detail
        self.flaws = tuple(flaws)
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        if self.flaws:
            reasons = "; ".join(f"{pointer or 'body'}: {detail}" for pointer, detail in self.flaws)
            title = "refused" if self.name == _UNKNOWN_KIND else self.title  # which each of its flaws repeats
            return f"{title} ({self.status}): {reasons}"
        return (
            f"{self.title} ({self.status}): {self.detail}" if self.detail else f"{self.title} ({self.status})"
        )


class NotSluice(SluiceError):
    """Something answers, but it does not speak as Sluice's API does."""

    def __init__(self, url: str, status: int) -> None:
        super().__init__(
            f"{url} answered {status}, but not as Sluice does: does SLUICE_URL name a Sluice API?"
        )
        self.status = status


class Api:
    """One connection pool to one API; a context manager. Blocking: a command does one thing at a time.

    `url` may hold a user and a password for a proxy before the API; errors show neither. Raises ConfigurationError for
    an address that is none, and when the environment names a proxy or certificates that cannot be used.
    """

    def __init__(self, url: str, *, transport: httpx2.BaseTransport | None = None) -> None:
        self.url = without_userinfo(url)
        try:
            base = httpx2.URL(url)
        except httpx2.InvalidURL as error:
            why = str(error) if self.url == url else "it is no URL"  # it may quote the password
            raise ConfigurationError(f"SLUICE_URL is {self.url!r}: {why}") from None
        try:
            self._http = httpx2.Client(
                base_url=base,
                timeout=_TIMEOUT,
                trust_env=not _is_loopback(url),
                verify=base.scheme != "http",  # certificates take longer to read than an answer
                transport=transport,
            )
        except (httpx2.InvalidURL, ImportError, OSError, ValueError) as error:
            raise ConfigurationError(_unusable(error)) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._http.close()

    def submit(self, task: str) -> Task:
        """Submit one task, given as JSON text; the row as it was committed."""
        return self._object("POST", "/tasks", content=task)

    def submit_batch(self, tasks: Iterable[str]) -> list[str]:
        """Submit tasks, given as JSON texts, all or none; their ids in the same order."""
        ids = self._object("POST", "/tasks/batch", content=f'{{"tasks":[{",".join(tasks)}]}}').get("ids")
        if not isinstance(ids, list):
            raise NotSluice(self.url, 201)
        return [str(task_id) for task_id in ids]

    def get(self, task_id: str) -> Task:
        """One task as it is now."""
        return self._object("GET", f"/tasks/{task_id}")

    def page(
        self, *, cursor: str | None = None, limit: int = PAGE_LIMIT, filters: Mapping[str, str] | None = None
    ) -> tuple[list[Task], str | None]:
        """One page, newest first, and the cursor of the next one (None on the last)."""
        params = {**(filters or {}), "limit": str(limit), **({"cursor": cursor} if cursor else {})}
        page = self._object("GET", "/tasks", params=params)
        tasks = page.get("tasks")
        if not isinstance(tasks, list):
            raise NotSluice(self.url, 200)
        return tasks, page.get("next_cursor")

    def set_status(self, task_id: str, status: str) -> Task:
        """Ask for another status: `canceled`, or `pending` to run a task again."""
        return self._object("PATCH", f"/tasks/{task_id}", content=json.dumps({"status": status}))

    def health(self) -> dict[str, Any]:
        """How the stores, consumers and queues are, while PostgreSQL works."""
        return self._object("GET", "/health", timeout=_HEALTH_TIMEOUT)

    def _object(
        self,
        method: str,
        path: str,
        *,
        content: str | None = None,
        params: Mapping[str, str] | None = None,
        timeout: httpx2.Timeout | float = _TIMEOUT,
    ) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"} if content is not None else {}
        try:
            response = self._http.request(
                method, path, content=content, params=params, headers=headers, timeout=timeout
            )
        except httpx2.RequestError as error:
            raise ApiUnreachable(self.url, _reason(error)) from error
        try:
            answer = response.json()
        except ValueError as error:
            raise NotSluice(self.url, response.status_code) from error
        if response.is_success and isinstance(answer, dict):
            return answer
        if "problem+json" in response.headers.get("content-type", "") and isinstance(answer, dict):
            raise _refused(response.status_code, answer)
        raise NotSluice(self.url, response.status_code)


def _refused(status: int, problem: Mapping[str, Any]) -> ApiRefused:
    errors = problem.get("errors")
    flaws = [
        (str(flaw.get("pointer") or flaw.get("parameter") or ""), str(flaw.get("detail", "")))
        for flaw in (errors if isinstance(errors, list) else [])
        if isinstance(flaw, dict)
    ]
    title, detail = str(problem.get("title", "refused")), str(problem.get("detail") or "")
    return ApiRefused(status, title, detail, flaws, name=str(problem.get("type", "")))


def _unusable(error: Exception) -> str:
    """What the environment names that cannot be used, and what to do about it."""
    match error:
        case ImportError():
            return f"a SOCKS proxy needs the package socksio: install it, or mend or unset {_PROXIES}"
        case OSError():
            return f"the certificates cannot be read ({_reason(error)}): mend or unset SSL_CERT_FILE"
        case _:  # its message may quote a password
            return f"the proxy's URL cannot be used: mend or unset {_PROXIES}"


def _reason(error: Exception) -> str:
    if isinstance(error, httpx2.TimeoutException):
        return "timed out"
    return str(error).partition("] ")[2] or str(error) or type(error).__name__


def _is_loopback(url: str) -> bool:
    """Proxies named by the environment are for other hosts: nobody means them for 127.0.0.1."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
