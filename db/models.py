"""The tables, as SQLAlchemy models. Storage parameters, constraints and indexes stand here with their reasons."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Double,
    Index,
    MetaData,
    SmallInteger,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "pk": "pk_%(table_name)s",
}
NOW = text("now()")


class Base(DeclarativeBase):
    """Our tables share one naming convention, so that a migration can name what it drops."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True),
        str: Text(),
        float: Double(),
    }


class TaskRow(Base):
    """One row a task, kept after it ends until retention prunes it.

    JSON columns are `json`, not `jsonb`: the text is kept as it was sent, and nothing here looks inside.
    Fixed-width columns stand first, so that no padding is stored.
    """

    __tablename__ = "tasks"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)
    run_at: Mapped[datetime] = mapped_column(server_default=NOW)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    fencing_token: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    timeout: Mapped[float]
    consumer_id: Mapped[UUID | None]
    priority: Mapped[int] = mapped_column(SmallInteger)
    attempt: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    max_attempts: Mapped[int] = mapped_column(SmallInteger)
    crashes: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    status: Mapped[str] = mapped_column(server_default=text("'pending'"))
    canceled_from: Mapped[str | None]
    queue: Mapped[str]
    kind: Mapped[str]
    message: Mapped[str | None]
    payload: Mapped[Any] = mapped_column(JSON, server_default=text("'{}'"))
    result: Mapped[Any | None] = mapped_column(JSON)
    error: Mapped[Any | None] = mapped_column(JSON)

    __table_args__ = (
        CheckConstraint(
            "status IN ('pending', 'processing', 'completed', 'failed', 'canceled')", name="status"
        ),
        CheckConstraint("canceled_from IN ('pending', 'processing')", name="canceled_from"),
        CheckConstraint("status <> 'processing' OR consumer_id IS NOT NULL", name="processing_has_consumer"),
        # Claims by the rows probe it once a lane: a queue, a kind and a priority. Rows of what a consumer does not
        # serve are jumped over. `id` ends it because a batch shares one run_at: a keyset over ties must not sort them
        # each time.
        Index(
            "ix_tasks_lanes",
            "queue",
            "kind",
            text("priority DESC"),
            "run_at",
            "id",
            postgresql_where=text("status = 'pending'"),
        ),
        # Claims by the rows find one that one more crash would poison (SUSPECTED_AFTER_CRASHES). Empty as a rule. Its
        # condition says nothing of status by itself, so that a statement that asks by it has no other index. Could it
        # have the lanes' one, the planner would take that, and walk a lane of any length, while dead entries of a wave
        # of crashes make this one the larger of both.
        Index(
            "ix_tasks_suspects",
            "queue",
            "kind",
            text("priority DESC"),
            "run_at",
            "id",
            postgresql_where=text("CASE WHEN status = 'pending' THEN crashes >= 2 END"),
        ),
        # Promote reads what is delayed, in the order in which it falls due.
        Index(
            "ix_tasks_delayed",
            "run_at",
            "id",
            postgresql_where=text("status = 'pending' AND run_at > created_at"),
        ),
        # Reap and reconcile. Finish must not use it: see db/sql/finish.sql.
        Index("ix_tasks_processing", "consumer_id", postgresql_where=text("status = 'processing'")),
        # `sluice list --status failed` at any table size.
        Index("ix_tasks_failed", "id", postgresql_where=text("status = 'failed'")),
        # Prune.
        Index(
            "ix_tasks_finished",
            "finished_at",
            postgresql_where=text("status IN ('completed', 'failed', 'canceled')"),
        ),
        # The claimed and the finished version find room beside the first: two pages fewer to change for each task, and
        # a log that holds what differs. A quarter less of it and a tenth more tasks a second, for twice the disk.
        {"postgresql_with": {"fillfactor": "50"}},
    )


class KindRow(Base):
    """A kind that some consumer has served, with the JSON schema of its payload and its own settings."""

    __tablename__ = "kinds"

    kind: Mapped[str] = mapped_column(primary_key=True)
    payload_schema: Mapped[Any | None] = mapped_column(JSON)
    max_attempts: Mapped[int | None] = mapped_column(SmallInteger)
    timeout: Mapped[float | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=NOW)


class ConsumerRow(Base):
    """One consumer process: `expires_at` lies a lease of its own after its last beat.

    It is `-infinity` once others have declared it dead, for good (U2 reap). `signature` names what it serves, for those
    who send hints. `suspect_id` and `suspect_token` are the run that it began last of those which one more crash would
    poison.
    """

    __tablename__ = "consumers"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    queues: Mapped[list[str]] = mapped_column(ARRAY(Text))
    kinds: Mapped[list[str]] = mapped_column(ARRAY(Text))
    capacity: Mapped[int]
    running: Mapped[int] = mapped_column(server_default=text("0"))
    lease_seconds: Mapped[float]
    started_at: Mapped[datetime] = mapped_column(server_default=NOW)
    beat_at: Mapped[datetime] = mapped_column(server_default=NOW)
    expires_at: Mapped[datetime]
    suspect_id: Mapped[UUID | None]
    suspect_token: Mapped[int | None] = mapped_column(BigInteger)
    signature: Mapped[str | None]

    # A beat changes no indexed column and finds room on its page: the update stays heap-only.
    __table_args__ = ({"postgresql_with": {"fillfactor": "50"}},)


class UpkeepRow(Base):
    """One upkeep step: when its next turn is due, and where the last one stopped (`cursor`)."""

    __tablename__ = "upkeep"

    step: Mapped[str] = mapped_column(primary_key=True)
    next_run_at: Mapped[datetime] = mapped_column(server_default=NOW)
    cursor: Mapped[Any | None] = mapped_column(JSON)
