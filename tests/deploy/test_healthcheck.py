import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from deploy.healthcheck import address, trouble


class Livez(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/livez" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), Livez) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield listening
        listening.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("command", "environment", "expected"),
    [
        ("python /opt/sluice/bin/sluice api ", {"API_HOST": "0.0.0.0"}, ("127.0.0.1", 8000)),  # noqa: S104 - as the image has it
        ("python -m api", {}, ("127.0.0.1", 8000)),
        ("/sbin/docker-init -- sluice api", {"API_PORT": "9000"}, ("127.0.0.1", 9000)),
        ("sluice api --workers 4 --port=81 --host ::", {"API_PORT": "9000"}, ("::1", 81)),
        ("sluice api --port 81 --with-consumer", {"API_HOST": "10.1.2.3"}, ("10.1.2.3", 81)),
        ("sh -c exec sluice api", {}, ("127.0.0.1", 8000)),
        ("sluice consumer", {}, None),
        ("python -m consumer --queues api", {}, None),
        ("sleep infinity", {}, None),
    ],
)
def test_the_port_asked_is_the_one_that_process_1_was_given(
    command: str, environment: dict[str, str], expected: tuple[str, int] | None
) -> None:
    assert address(command, environment) == expected


def test_an_api_that_answers_is_alive(server: HTTPServer) -> None:
    assert trouble("127.0.0.1", server.server_port) is None


def test_another_answer_is_told(server: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Livez, "do_GET", lambda handler: handler.send_error(503))
    assert trouble("127.0.0.1", server.server_port) == (
        f"127.0.0.1 port {server.server_port} answered /livez with 503"
    )


def test_no_answer_is_told(server: HTTPServer) -> None:
    server.server_close()
    found = trouble("127.0.0.1", server.server_port)
    assert found is not None
    assert "does not answer /livez" in found
