"""The shop's own table."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

TABLE = "CREATE TABLE IF NOT EXISTS shop_invoices (customer text NOT NULL, cents bigint NOT NULL)"


async def add_invoice(session: AsyncSession, customer: str, cents: int) -> None:
    """Write one invoice; whoever owns the session commits."""
    await session.execute(
        text("INSERT INTO shop_invoices (customer, cents) VALUES (:customer, :cents)"),
        {"customer": customer, "cents": cents},
    )
