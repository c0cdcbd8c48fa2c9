from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from sluice.api.problems.table import respond
from sluice.cli.client import Api, ApiRefused, ApiUnreachable, NotSluice
from sluice.core.errors import ConfigurationError, UnknownKind

URL = "http://127.0.0.1:8000"


def _api(answer: Callable[[httpx2.Request], httpx2.Response]) -> Api:
    return Api(URL, transport=httpx2.MockTransport(answer))


def _problem(status: int, **fields: Any) -> httpx2.Response:
    return httpx2.Response(status, json=fields, headers={"content-type": "application/problem+json"})


def test_a_problem_with_pointers_becomes_one_sentence_that_names_them() -> None:
    flaws = [{"pointer": "/payload/a", "detail": "too small"}, {"pointer": "", "detail": "unknown kind"}]
    api = _api(lambda _: _problem(422, title="Unprocessable Content", detail="2 errors", errors=flaws))
    with pytest.raises(ApiRefused) as refused:
        api.submit("{}")
    assert str(refused.value) == "Unprocessable Content (422): /payload/a: too small; body: unknown kind"
    assert refused.value.status == 422


def test_a_problem_with_a_parameter_names_it() -> None:
    flaws = [{"parameter": "kind", "detail": "two words"}]
    api = _api(lambda _: _problem(422, title="Invalid", errors=flaws))
    with pytest.raises(ApiRefused, match=r"^Invalid \(422\): kind: two words$"):
        api.page()


def test_a_kind_that_nobody_has_is_told_once_with_what_to_do() -> None:
    answer = respond(UnknownKind("ehco", ["echo"]))
    api = _api(
        lambda _: httpx2.Response(
            answer.status_code, headers=dict(answer.headers), content=bytes(answer.body)
        )
    )
    with pytest.raises(ApiRefused) as refused:
        api.submit("{}")
    assert str(refused.value) == (
        "refused (422): /kind: no consumer has registered it: start one whose HANDLERS has it; the nearest is echo"
    )


@pytest.mark.parametrize("url", ["http://1.2.3.999", "http://a\tb"])
def test_an_address_that_is_none_is_named_by_its_variable(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^SLUICE_URL is 'http://"):
        Api(url)


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("ALL_PROXY", "socks5://me:hush@h:1", "a SOCKS proxy needs the package socksio: .*ALL_PROXY"),
        ("HTTPS_PROXY", "gopher://me:hush@h:1", "the proxy's URL cannot be used: .*HTTPS_PROXY"),
        ("HTTP_PROXY", "http://me:hush/hush@h", "the proxy's URL cannot be used: .*HTTP_PROXY"),
        ("SSL_CERT_FILE", "/nonexistent", r"cannot be read \(No such file or directory\): .*SSL_CERT_FILE"),
        ("SSL_CERT_FILE", __file__, r"cannot be read \(.*\): .*SSL_CERT_FILE"),
    ],
)
def test_what_the_environment_names_in_vain_is_told_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=told) as refused:
        Api("https://sluice.example")
    assert "hush" not in str(refused.value)
    Api(URL)  # neither is for this machine


@pytest.mark.parametrize("answer", ["<html>", "refused", "lost", "unreadable"])
def test_no_error_shows_the_password_of_the_address(answer: str) -> None:
    def answers(request: httpx2.Request) -> httpx2.Response:
        assert request.headers["authorization"].startswith("Basic ")
        if answer == "lost":
            raise httpx2.ReadError("cut", request=request)
        if answer == "unreadable":
            return httpx2.Response(200, headers={"content-encoding": "gzip"}, stream=_Garbage())
        return httpx2.Response(200, text=answer)

    api = Api("http://me:hush@127.0.0.1:8000", transport=httpx2.MockTransport(answers))
    with pytest.raises((ApiUnreachable, NotSluice), match=r"http://127\.0\.0\.1:8000 ") as told:
        api.get("x")
    assert "hush" not in str(told.value)


class _Garbage(httpx2.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        yield b"not gzip"


def test_an_address_that_is_none_is_told_without_its_password() -> None:
    with pytest.raises(ConfigurationError) as told:
        Api("http://me:12\thush@127.0.0.1")
    assert str(told.value) == "SLUICE_URL is 'http://127.0.0.1': it is no URL"


def test_a_problem_without_pointers_tells_its_detail() -> None:
    api = _api(
        lambda _: _problem(409, title="Conflict", detail="task x is completed: it cannot become canceled")
    )
    with pytest.raises(
        ApiRefused, match=r"^Conflict \(409\): task x is completed: it cannot become canceled$"
    ):
        api.set_status("x", "canceled")


@pytest.mark.parametrize(
    "problem",
    [{}, {"title": None, "errors": "no list"}, {"errors": [1, {"detail": None}]}, {"detail": ["x"]}],
)
def test_a_misshapen_problem_is_still_a_refusal(problem: dict[str, Any]) -> None:
    with pytest.raises(ApiRefused):
        _api(lambda _: _problem(500, **problem)).get("x")


@pytest.mark.parametrize(
    "response",
    [
        httpx2.Response(200, text="<html>"),
        httpx2.Response(200, json=[1]),
        httpx2.Response(404, json={"detail": "Not Found"}),
        httpx2.Response(502, text="Bad Gateway"),
        httpx2.Response(301, headers={"location": "http://elsewhere/"}),
    ],
)
def test_somebody_elses_answer_asks_whether_the_address_is_right(response: httpx2.Response) -> None:
    with pytest.raises(NotSluice, match="SLUICE_URL"):
        _api(lambda _: response).get("x")


@pytest.mark.parametrize("page", [{}, {"tasks": None}])
def test_a_page_without_tasks_is_somebody_elses(page: dict[str, Any]) -> None:
    with pytest.raises(NotSluice):
        _api(lambda _: httpx2.Response(200, json=page)).page()
    with pytest.raises(NotSluice):
        _api(lambda _: httpx2.Response(201, json=page)).submit_batch([])


def test_silence_says_what_to_start_or_set(unused_tcp_port: int) -> None:
    with Api(f"http://127.0.0.1:{unused_tcp_port}") as api, pytest.raises(ApiUnreachable) as unreachable:
        api.get("x")
    assert "Connection refused" in str(unreachable.value)
    assert "sluice up" in str(unreachable.value)
    assert "SLUICE_URL" in str(unreachable.value)


def test_a_post_whose_answer_is_lost_is_not_sent_again() -> None:
    sent: list[httpx2.Request] = []

    def cut(request: httpx2.Request) -> httpx2.Response:
        sent.append(request)
        raise httpx2.ReadError("cut", request=request)

    with pytest.raises(ApiUnreachable):
        _api(cut).submit("{}")
    assert len(sent) == 1


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:1")
    with Api(f"http://localhost:{unused_tcp_port}") as api, pytest.raises(ApiUnreachable, match="refused"):
        api.get("x")
