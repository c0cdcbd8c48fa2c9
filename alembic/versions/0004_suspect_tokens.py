"""Consumers name the run of a suspect, and not only its task."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the token. A column that may be null is added without a rewrite; code before this leaves it null."""
    op.add_column("consumers", sa.Column("suspect_token", sa.BigInteger()))


def downgrade() -> None:
    """Take it away again."""
    op.drop_column("consumers", "suspect_token")
