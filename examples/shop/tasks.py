"""The shop's handlers: HANDLERS=tasks names this module."""

from consumer.orders import Order, total

from db.session import add_invoice
from sluice import Context, handler


@handler("order.invoice")
async def invoice(ctx: Context, order: Order) -> int:
    """Write the invoice in the transaction that completes the task."""
    cents = total(order)
    await add_invoice(await ctx.session(), order.customer, cents)
    return cents


@handler("order.greet")
def greet(_ctx: Context, order: Order) -> str:
    """Run in a thread, as every `def` does."""
    return f"Dear {order.customer}"


@handler("order.label", cpu_bound=True)
def label(_ctx: Context, order: Order) -> str:
    """Run in a process of its own."""
    return "\n".join(f"{line.article:.<20}{line.cents / 100:.>8.2f}" for line in order.lines)
