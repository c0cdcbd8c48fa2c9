import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluice.core.settings import ApiSettings, ConsumerSettings, load

ROOT = Path(__file__).parents[2]
OURS = {"migrate", "api-server", "worker"}
STORES = {"db", "redis"}
VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_]+)(?::-(?P<default>[^}]*)|:\?(?P<required>[^}]+))\}")


@pytest.fixture(scope="module")
def text() -> str:
    return (ROOT / "docker-compose.yml").read_text()


@pytest.fixture(scope="module")
def compose(text: str) -> dict[str, Any]:
    filled = VARIABLE.sub(lambda found: found["default"] if found["required"] is None else "secret", text)
    parsed: dict[str, Any] = yaml.safe_load(filled)
    return parsed


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = compose["services"]
    return found


def seconds(duration: str) -> timedelta:
    assert re.fullmatch(r"\d+s", duration)
    return timedelta(seconds=int(duration[:-1]))


def test_the_services_are_the_stores_and_our_roles(services: dict[str, Any]) -> None:
    assert set(services) == STORES | OURS


def test_the_stores_are_reached_from_the_inner_network_only(compose: dict[str, Any]) -> None:
    for store in STORES:
        assert "ports" not in compose["services"][store]
        assert compose["services"][store]["networks"] == ["stores"]
    assert compose["networks"]["stores"]["internal"] is True


def test_the_api_is_published_on_loopback_alone(services: dict[str, Any]) -> None:
    assert services["api-server"]["ports"] == ["127.0.0.1:8000:8000"]
    assert all("ports" not in services[name] for name in services if name != "api-server")


def test_workers_are_optional_and_can_be_scaled(services: dict[str, Any]) -> None:
    assert services["worker"]["profiles"] == ["worker"]
    assert all("container_name" not in service for service in services.values())


def test_every_password_is_asked_for_and_none_is_written(text: str) -> None:
    passwords = [line for line in text.splitlines() if "POSTGRES_PASSWORD" in line and "printf" not in line]
    assert passwords
    assert all("${POSTGRES_PASSWORD:?" in line for line in passwords)


def test_the_environment_of_the_api_server_is_enough_for_a_consumer(
    services: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (*ApiSettings.model_fields, *ConsumerSettings.model_fields):
        monkeypatch.delenv(name.upper(), raising=False)
    environment = services["api-server"]["environment"]
    assert environment == services["worker"]["environment"]
    known = {name.upper() for kind in (ApiSettings, ConsumerSettings) for name in kind.model_fields}
    assert set(environment) <= known
    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))
    api, consumer = load(ApiSettings), load(ConsumerSettings)
    assert api.database_url == consumer.database_url
    assert api.redis_url == consumer.redis_url


def test_a_drain_is_never_cut_short(services: dict[str, Any]) -> None:
    for name in OURS:
        drain = timedelta(seconds=float(services[name]["environment"]["DRAIN_SECONDS"]))
        assert seconds(services[name]["stop_grace_period"]) >= drain + timedelta(seconds=5)


def test_nothing_of_ours_starts_before_the_schema_is_there(services: dict[str, Any]) -> None:
    for name in ("api-server", "worker"):
        waits = {store: after["condition"] for store, after in services[name]["depends_on"].items()}
        assert waits == {
            "db": "service_healthy",
            "redis": "service_healthy",
            "migrate": "service_completed_successfully",
        }
    assert services["migrate"]["depends_on"]["db"]["condition"] == "service_healthy"


def test_the_database_is_asked_by_tcp_so_that_its_own_set_up_does_not_count(services: dict[str, Any]) -> None:
    assert "--host=127.0.0.1" in services["db"]["healthcheck"]["test"]


def test_redis_keeps_what_it_has_and_refuses_rather_than_forgets(services: dict[str, Any]) -> None:
    words = services["redis"]["command"]
    assert words[words.index("--appendonly") + 1] == "yes"
    assert words[words.index("--maxmemory-policy") + 1] == "noeviction"


def test_our_containers_can_change_nothing_and_gain_nothing(services: dict[str, Any]) -> None:
    for name in OURS:
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["security_opt"] == ["no-new-privileges:true"]
        assert services[name]["image"] == services["migrate"]["image"]
