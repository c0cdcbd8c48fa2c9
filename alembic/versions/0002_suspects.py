"""Consumers name the task that they run and that one more crash would poison."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the name. A column that may be null is added without rewriting the table."""
    op.add_column("consumers", sa.Column("suspect_id", sa.Uuid()))


def downgrade() -> None:
    """Take it away again."""
    op.drop_column("consumers", "suspect_id")
