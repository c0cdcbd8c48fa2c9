"""What an order is, and what it costs."""

from core.config import VAT_PERCENT
from pydantic import BaseModel


class Line(BaseModel):
    """One article."""

    article: str
    cents: int


class Order(BaseModel):
    """What a customer wants."""

    customer: str
    lines: list[Line]


def total(order: Order) -> int:
    """Return the price with VAT, in cents."""
    return sum(line.cents for line in order.lines) * (100 + VAT_PERCENT) // 100
