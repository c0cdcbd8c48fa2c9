import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluice.api.main import FLUSHERS, LOOKS_AT_ONCE, PAGES_AT_ONCE, PROBES_AT_ONCE
from sluice.api.routes.tasks import BATCH_BODIES
from sluice.consumer.stores import HOT_CONNECTIONS
from sluice.core.settings import ApiSettings, ConsumerSettings
from sluice.db.session import make_engine

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def guide() -> str:
    return (ROOT / "docs" / "deployment.md").read_text()


@pytest.fixture(scope="module")
def pods(guide: str) -> dict[str, Any]:
    """The pod of each Kubernetes object in the guide, by the object's name."""
    documents = (
        document
        for block in BLOCK.finditer(guide)
        if block["kind"] == "yaml"
        for document in yaml.safe_load_all(block["text"])
    )
    return {
        found["metadata"]["name"]: found["spec"]["template"]["spec"] for found in documents if "kind" in found
    }


def test_the_guide_shows_each_role_on_kubernetes(pods: dict[str, Any]) -> None:
    assert set(pods) == {"sluice-migrate", "sluice-api", "sluice-consumer"}


def test_kubernetes_grants_a_drain_all_of_its_time(pods: dict[str, Any]) -> None:
    [consumer] = pods["sluice-consumer"]["containers"]
    drain = {entry["name"]: int(entry["value"]) for entry in consumer["env"]}["DRAIN_SECONDS"]
    assert pods["sluice-consumer"]["terminationGracePeriodSeconds"] > drain + 1
    [api] = pods["sluice-api"]["containers"]
    pause = api["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pods["sluice-api"]["terminationGracePeriodSeconds"] > pause + drain + 1


def test_no_service_of_the_cluster_can_overwrite_a_setting(pods: dict[str, Any]) -> None:
    assert all(pod["enableServiceLinks"] is False for pod in pods.values())


def test_the_stores_decide_about_traffic_and_never_about_restarts(pods: dict[str, Any]) -> None:
    [api] = pods["sluice-api"]["containers"]
    assert api["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert api["readinessProbe"]["httpGet"]["path"] == "/readyz"


@pytest.fixture(scope="module")
def nginx(guide: str) -> str:
    """The guide's lines for nginx, without their comments."""
    [text] = (block["text"] for block in BLOCK.finditer(guide) if block["kind"] == "nginx")
    return re.sub(r"\s*#.*", "", text)


def _inside(block: str, text: str) -> str:
    """What stands between the braces of an nginx block that holds no others."""
    [found] = re.findall(rf"^\s*{block} {{\n([^{{}}]*)}}$", text, re.MULTILINE)
    return str(found)


def test_nginx_keeps_its_connections_to_the_api(nginx: str) -> None:
    """Over HTTP/1.0, or with the header `Connection: close` that it sends by itself, each request opens one."""
    assert int(re.findall(r"^\s*keepalive (\d+);$", _inside("upstream sluice", nginx), re.MULTILINE)[0]) > 0
    lines = [line.strip() for line in _inside(r"location /\S+", nginx).splitlines()]
    assert "proxy_http_version 1.1;" in lines
    assert 'proxy_set_header Connection "";' in lines


def test_nginx_takes_away_the_prefix_that_root_path_names(guide: str, nginx: str) -> None:
    [(prefix, passed)] = re.findall(r"^\s*location (/\S+) {\n\s*proxy_pass (\S+);$", nginx, re.MULTILINE)
    assert passed == "http://sluice/", "it ends with / and so takes the location's path away"
    assert {f"{root}/" for root in re.findall(r"`ROOT_PATH=(\S+?)`", guide)} == {prefix}


def test_nginx_lets_the_largest_batch_pass(nginx: str) -> None:
    [megabytes] = re.findall(r"client_max_body_size (\d+)m;", _inside(r"location /\S+", nginx))
    assert int(megabytes) << 20 > BATCH_BODIES * ApiSettings.model_fields["max_body_bytes"].default


def test_systemd_grants_a_drain_all_of_its_time(guide: str) -> None:
    assert int(re.findall(r"^TimeoutStopSec=(\d+)$", guide, re.MULTILINE)[0]) > 25 + 1
    assert "KillMode=mixed" in guide


def test_the_guide_and_the_compose_file_use_the_same_names(guide: str) -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    for name in ("POSTGRES_PASSWORD", "STOP_GRACE_PERIOD", "DRAIN_SECONDS", "HANDLERS", "API_PORT"):
        assert f"${{{name}:" in compose
        assert name in guide
    assert "sluice-api-server-1" in compose
    assert "sluice-api-server-1" in guide


def test_the_guide_counts_connections_as_the_pools_do(guide: str) -> None:
    own = HOT_CONNECTIONS + 1  # and the beat's
    handlers = ConsumerSettings.model_fields["handler_pool_size"].default
    api = LOOKS_AT_ONCE + PAGES_AT_ONCE + PROBES_AT_ONCE + 2 * FLUSHERS  # of submissions and of batches
    assert f"| API, each of `--workers` | {api} |" in guide
    assert f"| the sum of both ({api + own + handlers} by default) |" in guide
    assert f"| {own} + `HANDLER_POOL_SIZE` ({own + handlers} by default;" in guide


async def test_a_connection_starts_with_nothing_that_poolers_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: set[str] = set()

    async def connect(*_: object, server_settings: dict[str, str], **__: object) -> None:
        sent.update(server_settings)
        raise ConnectionRefusedError

    monkeypatch.setattr("asyncpg.connect", connect)
    with pytest.raises(ConnectionRefusedError):
        async with make_engine("postgresql://nowhere", role="test", pool_size=1).connect():
            pass
    assert sent == {"application_name", "client_encoding", "timezone"}
