"""Pending tasks that one more crash would poison are found by an index of their own, which is empty as a rule.

The index is built beside the running service: neither submissions nor claims wait for it. A build that was broken off
leaves an index that is marked as invalid; it is dropped, and built anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_NAME = "ix_tasks_suspects"
_COLUMNS: list[str | sa.TextClause] = ["queue", "kind", sa.text("priority DESC"), "run_at", "id"]
_SUSPECTED = sa.text("status = 'pending' AND crashes >= 2")


def upgrade() -> None:
    """Add the index."""
    with op.get_context().autocommit_block():
        op.drop_index(_NAME, "tasks", if_exists=True, postgresql_concurrently=True)
        op.create_index(_NAME, "tasks", _COLUMNS, postgresql_where=_SUSPECTED, postgresql_concurrently=True)


def downgrade() -> None:
    """Drop it."""
    with op.get_context().autocommit_block():
        op.drop_index(_NAME, "tasks", if_exists=True, postgresql_concurrently=True)
