"""The index of suspects has a condition that no other index fulfils: whatever their sizes, it is the one that is read.

The index is built beside the running service, as in the revision before. Code of that revision reads the rows of
suspects by the index of all that wait, until it is replaced.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_NAME = "ix_tasks_suspects"
_COLUMNS: list[str | sa.TextClause] = ["queue", "kind", sa.text("priority DESC"), "run_at", "id"]


def upgrade() -> None:
    """Change the condition."""
    _replace("CASE WHEN status = 'pending' THEN crashes >= 2 END")


def downgrade() -> None:
    """Change it back."""
    _replace("status = 'pending' AND crashes >= 2")


def _replace(condition: str) -> None:
    with op.get_context().autocommit_block():
        op.drop_index(_NAME, "tasks", if_exists=True, postgresql_concurrently=True)
        op.create_index(
            _NAME, "tasks", _COLUMNS, postgresql_where=sa.text(condition), postgresql_concurrently=True
        )
