"""Half of each page of tasks is left free, so that a task's next versions stay where the first is."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Leave room from now on. Rows that are there stay where they are, and nothing that runs is held up."""
    op.execute("ALTER TABLE tasks SET (fillfactor = 50)")


def downgrade() -> None:
    """Fill pages again."""
    op.execute("ALTER TABLE tasks RESET (fillfactor)")
