"""What PostgreSQL itself saw: a trigger writes down every change of a task's status or token, in the transaction."""

from __future__ import annotations

import time
from typing import Any

import asyncpg

TABLES = """
CREATE TABLE chaos_transitions (
  seq bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL DEFAULT clock_timestamp(),
  id uuid, old_status text, new_status text, old_token bigint, new_token bigint,
  attempt integer, crashes integer, consumer_id uuid
);
CREATE TABLE chaos_effects (id uuid, token bigint);
CREATE FUNCTION chaos_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF coalesce(NEW.kind, OLD.kind) = 'chaos.unserved' THEN
    RETURN NULL;
  END IF;
  IF TG_OP = 'DELETE' THEN
    INSERT INTO chaos_transitions (id, old_status, old_token) VALUES (OLD.id, OLD.status, OLD.fencing_token);
  ELSIF TG_OP = 'INSERT' THEN
    INSERT INTO chaos_transitions (id, new_status, new_token, attempt, crashes)
    VALUES (NEW.id, NEW.status, NEW.fencing_token, NEW.attempt, NEW.crashes);
  ELSIF OLD.status <> NEW.status OR OLD.fencing_token <> NEW.fencing_token THEN
    INSERT INTO chaos_transitions
      (id, old_status, new_status, old_token, new_token, attempt, crashes, consumer_id)
    VALUES (NEW.id, OLD.status, NEW.status, OLD.fencing_token, NEW.fencing_token, NEW.attempt, NEW.crashes,
            coalesce(NEW.consumer_id, OLD.consumer_id));
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER chaos_note AFTER INSERT OR UPDATE OR DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION chaos_note();
"""
_SAMPLE = """
SELECT count(*) FILTER (WHERE status = 'pending' AND run_at <= now()) AS waiting,
       count(*) FILTER (WHERE status = 'pending' AND run_at > now()) AS delayed,
       count(*) FILTER (WHERE status = 'processing') AS processing
  FROM tasks WHERE status IN ('pending', 'processing')
"""
_TRANSITIONS = """
SELECT seq, (extract(epoch FROM at) * 1e9)::bigint AS t, id::text, old_status, new_status, old_token, new_token,
       attempt, crashes, consumer_id::text AS consumer
  FROM chaos_transitions ORDER BY seq
"""
_ROWS = """
SELECT id::text, status, kind, message, fencing_token AS token, attempt, crashes,
       error ->> 'type' AS error, canceled_from FROM tasks WHERE kind <> 'chaos.unserved'
"""


async def sample(connection: asyncpg.Connection[Any]) -> dict[str, int]:
    """How much waits, is put off and is being done."""
    return dict(await connection.fetchrow(_SAMPLE) or {})


async def final(connection: asyncpg.Connection[Any]) -> dict[str, list[dict[str, Any]]]:
    """Everything that the checker needs of the database; times on the machine's monotonic clock."""
    behind = time.time_ns() - time.monotonic_ns()
    transitions = [dict(row) for row in await connection.fetch(_TRANSITIONS)]
    for transition in transitions:
        transition["t"] -= behind
    return {
        "transitions": transitions,
        "rows": [dict(row) for row in await connection.fetch(_ROWS)],
        "effects": [dict(row) for row in await connection.fetch("SELECT id::text, token FROM chaos_effects")],
    }
