"""The shop's API: it takes orders and lets Sluice do what takes long."""

from consumer.orders import Order
from core.config import SLUICE_URL
from fastapi import FastAPI
from httpx2 import AsyncClient

app = FastAPI(title="Shop")


@app.post("/orders", status_code=202)
async def take(order: Order) -> dict[str, str]:
    """Accept an order; the task is durable once this has answered."""
    task = {"kind": "order.invoice", "payload": order.model_dump()}
    async with AsyncClient(base_url=SLUICE_URL) as sluice:
        answer = await sluice.post("/tasks", json=task)
        answer.raise_for_status()
    return {"task": answer.json()["id"]}
