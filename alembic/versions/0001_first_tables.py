"""The first tables: tasks, kinds, consumers, upkeep.

The models in db/models.py say why each constraint, index and storage parameter is there.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSON

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)
_NOW = sa.text("now()")
_ZERO = sa.text("0")


def upgrade() -> None:
    """Create the four tables and the indexes of `tasks`."""
    _create_tasks()
    _index_tasks()
    op.create_table(
        "kinds",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload_schema", JSON()),
        sa.Column("max_attempts", sa.SmallInteger()),
        sa.Column("timeout", sa.Double()),
        sa.Column("updated_at", _INSTANT, nullable=False, server_default=_NOW),
        sa.PrimaryKeyConstraint("kind", name="pk_kinds"),
    )
    op.create_table(
        "consumers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("queues", ARRAY(sa.Text()), nullable=False),
        sa.Column("kinds", ARRAY(sa.Text()), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("running", sa.Integer(), nullable=False, server_default=_ZERO),
        sa.Column("lease_seconds", sa.Double(), nullable=False),
        sa.Column("started_at", _INSTANT, nullable=False, server_default=_NOW),
        sa.Column("beat_at", _INSTANT, nullable=False, server_default=_NOW),
        sa.Column("expires_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_consumers"),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "upkeep",
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("next_run_at", _INSTANT, nullable=False, server_default=_NOW),
        sa.Column("cursor", JSON()),
        sa.PrimaryKeyConstraint("step", name="pk_upkeep"),
    )


def _create_tasks() -> None:
    op.create_table(
        "tasks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False, server_default=_NOW),
        sa.Column("updated_at", _INSTANT, nullable=False, server_default=_NOW),
        sa.Column("run_at", _INSTANT, nullable=False, server_default=_NOW),
        sa.Column("started_at", _INSTANT),
        sa.Column("finished_at", _INSTANT),
        sa.Column("fencing_token", sa.BigInteger(), nullable=False, server_default=_ZERO),
        sa.Column("timeout", sa.Double(), nullable=False),
        sa.Column("consumer_id", sa.Uuid()),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("attempt", sa.SmallInteger(), nullable=False, server_default=_ZERO),
        sa.Column("max_attempts", sa.SmallInteger(), nullable=False),
        sa.Column("crashes", sa.SmallInteger(), nullable=False, server_default=_ZERO),
        sa.Column("status", sa.Text(), nullable=False, server_default=sa.text("'pending'")),
        sa.Column("canceled_from", sa.Text()),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("message", sa.Text()),
        sa.Column("payload", JSON(), nullable=False, server_default=sa.text("'{}'")),
        sa.Column("result", JSON()),
        sa.Column("error", JSON()),
        sa.PrimaryKeyConstraint("id", name="pk_tasks"),
        sa.CheckConstraint(
            "status IN ('pending', 'processing', 'completed', 'failed', 'canceled')",
            name=op.f("ck_tasks_status"),
        ),
        sa.CheckConstraint("canceled_from IN ('pending', 'processing')", name=op.f("ck_tasks_canceled_from")),
        sa.CheckConstraint(
            "status <> 'processing' OR consumer_id IS NOT NULL",
            name=op.f("ck_tasks_processing_has_consumer"),
        ),
    )


def _index_tasks() -> None:
    op.create_index(
        "ix_tasks_ready",
        "tasks",
        ["queue", sa.text("priority DESC"), "run_at", "id"],
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index(
        "ix_tasks_delayed",
        "tasks",
        ["run_at", "id"],
        postgresql_where=sa.text("status = 'pending' AND run_at > created_at"),
    )
    op.create_index(
        "ix_tasks_processing",
        "tasks",
        ["consumer_id"],
        postgresql_where=sa.text("status = 'processing'"),
    )
    op.create_index(
        "ix_tasks_failed",
        "tasks",
        ["id"],
        postgresql_where=sa.text("status = 'failed'"),
    )
    op.create_index(
        "ix_tasks_finished",
        "tasks",
        ["finished_at"],
        postgresql_where=sa.text("status IN ('completed', 'failed', 'canceled')"),
    )


def downgrade() -> None:
    """Drop everything, rows included."""
    for table in ("upkeep", "consumers", "kinds", "tasks"):
        op.drop_table(table)
