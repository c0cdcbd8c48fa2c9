"""What a route does not ask for in its query is refused by name."""

from __future__ import annotations

import httpx2
import pytest

from tests.api.support import JSON, PROBLEM

ID = "019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6071"
ROUTES = {
    ("POST", "/tasks"): b'{"message": "x"}',
    ("POST", "/tasks/batch"): b'{"tasks": [{"message": "x"}]}',
    ("GET", "/tasks"): None,
    ("GET", f"/tasks/{ID}"): None,
    ("PATCH", f"/tasks/{ID}"): b'{"status": "canceled"}',
    ("GET", "/health"): None,
}


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    ("query", "names"),
    [("atomic=false", ["atomic"]), ("a/b=1&a/b=2&c", ["a/b", "c"]), (f"{'n' * 300}=", [f"{'n' * 100}…"])],
)
async def test_an_unknown_parameter_is_refused_by_its_name(
    shared: httpx2.AsyncClient, method: str, path: str, query: str, names: list[str]
) -> None:
    response = await shared.request(
        method, f"{path}?{query}", content=ROUTES[method, path], headers=JSON if ROUTES[method, path] else {}
    )

    assert response.status_code == 422, response.text
    assert response.headers["content-type"] == PROBLEM
    assert response.json()["type"] == "urn:sluice:problem:invalid"
    assert list(dict.fromkeys(error["parameter"] for error in response.json()["errors"])) == names


@pytest.mark.parametrize("path", ["/livez?probe=1", "/readyz?from=balancer", "/health?"])
async def test_probes_may_ask_in_their_own_way(shared: httpx2.AsyncClient, path: str) -> None:
    assert (await shared.get(path)).status_code == 200
