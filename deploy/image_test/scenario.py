"""What must hold for the image: every role runs from it, does its work, and stops when told to.

It refuses to know how the image was built. Every wait is for a fact, with a deadline.
"""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from deploy.image_test.build import Image
from deploy.image_test.container import Container
from deploy.image_test.network import enter_own_network, on_loopback
from deploy.image_test.steps import Failure, command, step
from sluice.cli.embedded import Servers

ROOT = Path(__file__).parents[2]
UID = 10001
ORDER = {"customer": "Ada", "lines": [{"article": "kettle", "cents": 2990}]}
PATIENCE = 60.0  # seconds for anything that takes one or two on an idle machine
DRAIN = 30.0  # DRAIN_SECONDS and a little more


def run(image: Image, *, work: Path, addresses: tuple[str, ...]) -> None:
    """Look at the image, then run it. Raises Failure with the first thing that does not hold."""
    with step("non-root user by number, no trace of the build's settings"):
        _look(image, addresses)
    enter_own_network()
    asyncio.run(_roles(image, work))


def _look(image: Image, addresses: tuple[str, ...]) -> None:
    if image.user != f"{UID}:{UID}":
        raise Failure(f"the image's user is {image.user!r}, not {UID}:{UID}")
    for left in ("etc/pip.conf", "build", "root/.config", "root/.cache"):
        if (image.root / left).exists():
            raise Failure(f"the image holds /{left}")
    for secret in (image.root / "run/secrets").glob("*"):
        raise Failure(f"the image holds /run/secrets/{secret.name}")
    for address in addresses:
        # grep exits 1 when it finds nothing, which is what is wanted.
        found = command("sh", "-c", 'grep -rlF -e "$1" "$2" || [ $? = 1 ]', "sh", address, image.root / "opt")
        if found:
            raise Failure(f"an address of a package index is in {found.splitlines()[0]}")


async def _roles(image: Image, work: Path) -> None:
    async with AsyncExitStack() as stack:
        with step("embedded PostgreSQL and Valkey"):
            stores = work / "stores"
            stores.mkdir(mode=0o755)
            urls = await stack.enter_async_context(Servers(stores, ephemeral=True))
            environment = await stack.enter_async_context(on_loopback(urls.database_url, urls.redis_url))

        def container(name: str, project: Path | None = None, **settings: str) -> Container:
            made = Container(image, name, logs=work, environment={**environment, **settings}, project=project)
            stack.push_async_callback(made.kill)
            return made

        with step("sluice migrate, and again"):
            await container("migrate").run("sluice", "migrate", within=PATIENCE)
            await container("migrate-again").run("sluice", "migrate", within=PATIENCE)

        api, consumer = container("api"), container("consumer")
        client = await stack.enter_async_context(
            httpx2.AsyncClient(base_url="http://127.0.0.1:8000", trust_env=False, timeout=10)
        )
        with step(f"{' '.join(image.command)} is ready"):
            await api.start()
            await _until(lambda: _ready(client), "/readyz answers 200", api)
        with step("/docs and what it loads"):
            await _documentation(client)
        with step("HEALTHCHECK and user of the API"):
            await _healthy(api, image)
            nobody_there = await api.execute("env", "API_PORT=1", *image.healthcheck)
            await nobody_there.ended(within=PATIENCE, status=1)
        with step("python -m consumer completes a task"):
            await consumer.start("python", "-m", "consumer")
            await _completed(client, await _submit(client, message="Hello World"), consumer)
        with step("HEALTHCHECK and user of the consumer"):
            await _healthy(consumer, image)
        with step(f"{image.stop_signal} to the consumer: the running task completes, exit 0"):
            task = await _submit(client, kind="sleep", payload={"seconds": 2})
            await _until(lambda: _has(client, task, "processing"), "the task runs", consumer)
            await consumer.stop(within=DRAIN)
            await _completed(client, task, api)
        with step("python -m consumer inside the API's container, as by docker exec; Ctrl-C"):
            async with _inside(api, "python", "-m", "consumer"):
                await _completed(client, await _submit(client, message="Hello again"), api)
        with step("a project whose packages are named like ours"):
            await _shop(client, container, work / "shop")
        with step(f"{image.stop_signal} to the API: exit 0"):
            await api.stop(within=DRAIN)
        with step(f"sluice api --workers 2 --with-consumer completes a task; {image.stop_signal}: exit 0"):
            both = container("both")
            await both.start("sluice", "api", "--workers", "2", "--with-consumer")
            await _until(lambda: _ready(client), "/readyz answers 200", both)
            await _completed(client, await _submit(client, message="Hello from one"), both)
            await _healthy(both, image)
            await both.stop(within=DRAIN)


async def _shop(client: httpx2.AsyncClient, container: Callable[..., Container], shop: Path) -> None:
    shutil.copytree(ROOT / "examples" / "shop", shop)
    await container("setup", shop, PYTHONSAFEPATH="").run("python", "-m", "cli.setup", within=PATIENCE)
    consumer = container("shop", shop, HANDLERS="tasks")
    await consumer.start("python", "-m", "consumer")
    for kind in ("order.invoice", "order.greet", "order.label"):
        task = await _submit_known(client, consumer, kind=kind, payload=ORDER)
        await _completed(client, task, consumer)
    await consumer.stop(within=DRAIN)


@asynccontextmanager
async def _inside(container: Container, *words: str) -> AsyncIterator[None]:
    executed = await container.execute(*words)
    try:
        yield
    finally:
        executed.interrupt()
        await executed.ended(within=DRAIN)


async def _healthy(container: Container, image: Image) -> None:
    first = container.process()
    for process in (first, *first.children(recursive=True)):
        if set(process.uids()) != {UID} or set(process.gids()) != {UID}:
            raise container.failure(f"runs {process.cmdline()} as {process.uids()}, {process.gids()}")
    check = await container.execute(*image.healthcheck)
    await check.ended(within=PATIENCE)


async def _documentation(client: httpx2.AsyncClient) -> None:
    page = await client.get("/docs")
    links = re.findall(r"""(?:src|href)=["']([^"':]+)["']""", page.text)  # relative ones; `data:` is no link
    loaded = [page.url.join(link).path for link in links]
    if page.status_code != httpx2.codes.OK or not loaded:
        raise Failure(f"/docs answered {page.status_code} and loads {loaded}")
    for asset in ("/openapi.json", *loaded):
        answer = await client.get(asset)
        if answer.status_code != httpx2.codes.OK:
            raise Failure(f"{asset}, which /docs loads, answered {answer.status_code}")


async def _submit(client: httpx2.AsyncClient, **fields: object) -> str:
    answer = await client.post("/tasks", json=fields)
    if answer.status_code != httpx2.codes.CREATED:
        raise Failure(f"POST /tasks answered {answer.status_code}: {answer.text}")
    return str(answer.json()["id"])


async def _submit_known(client: httpx2.AsyncClient, container: Container, **fields: object) -> str:
    """Submit once the consumer has registered the kind."""
    await _until(lambda: _serves(client, fields["kind"]), f"{fields['kind']} is served", container)
    return await _submit(client, **fields)


async def _serves(client: httpx2.AsyncClient, kind: object) -> bool:
    consumers = (await client.get("/health")).json()["consumers"]
    return any(kind in each["kinds"] for each in consumers)


async def _completed(client: httpx2.AsyncClient, task: str, container: Container) -> None:
    await _until(lambda: _has(client, task, "completed"), f"task {task} is completed", container)


async def _has(client: httpx2.AsyncClient, task: str, status: str) -> bool:
    found: dict[str, Any] = (await client.get(f"/tasks/{task}")).json()
    if found["status"] in {"failed", "canceled"}:
        raise Failure(f"the task ended wrongly: {found}")
    return bool(found["status"] == status)


async def _ready(client: httpx2.AsyncClient) -> bool:
    try:
        return (await client.get("/readyz")).status_code == httpx2.codes.OK
    except httpx2.TransportError:
        return False


async def _until(fact: Callable[[], Awaitable[bool]], wanted: str, container: Container) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            while not await fact():
                if not container.alive():
                    raise container.failure(f"ended before {wanted}")
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise container.failure(f"ran {PATIENCE:g} s without this: {wanted}") from None
