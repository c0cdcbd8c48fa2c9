"""Pending tasks are found by queue, kind and priority, and consumers say by one name what they serve.

The index is built beside the running service: neither submissions nor claims wait for it. A build that was broken off
leaves an index that is marked as invalid; it is dropped, and built anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_PENDING = sa.text("status = 'pending'")


def upgrade() -> None:
    """Add the name, which may be null, and change one index for the other."""
    op.add_column("consumers", sa.Column("signature", sa.Text()))
    _replace("ix_tasks_ready", "ix_tasks_lanes", ["queue", "kind", sa.text("priority DESC"), "run_at", "id"])


def downgrade() -> None:
    """Change them back."""
    _replace("ix_tasks_lanes", "ix_tasks_ready", ["queue", sa.text("priority DESC"), "run_at", "id"])
    op.drop_column("consumers", "signature")


def _replace(old: str, new: str, columns: list[str | sa.TextClause]) -> None:
    with op.get_context().autocommit_block():
        op.drop_index(new, "tasks", if_exists=True, postgresql_concurrently=True)
        op.create_index(new, "tasks", columns, postgresql_where=_PENDING, postgresql_concurrently=True)
        op.drop_index(old, "tasks", if_exists=True, postgresql_concurrently=True)
