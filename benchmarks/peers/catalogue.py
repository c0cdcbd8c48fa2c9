"""Which queues are compared, in which class of durability, and where their tasks can be seen. Runs nothing.

Statements and commands here only observe. What a peer needs to run is in its adapter, through its public interface.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from benchmarks.peers.environments import ANY_PYTHON, Version
from benchmarks.peers.watch import Rows, Sizes, Watch


class Durability(StrEnum):
    """What is left of a task, and when it is let go."""

    KEPT = "A"
    DELETED = "B"
    ACKNOWLEDGED = "C"
    POPPED = "D"


MEANING = {
    Durability.KEPT: "a row in PostgreSQL, kept when it is completed",
    Durability.DELETED: "a row in PostgreSQL, deleted when it is completed",
    Durability.ACKNOWLEDGED: "in Redis, acknowledged after the run",
    Durability.POPPED: "in Redis, popped before the run: lost if the worker dies",
}


@dataclass(frozen=True, slots=True)
class Peer:
    """One queue in one configuration.

    It runs up to 100 tasks at once where it has such a knob, or fewer where fewer were faster. `share` of our number of
    tasks is what it gets, so that its runs take about as long as ours. `environment` names its pins; several peers may
    live in one. `target`: how many times its rate ours should be. `settings` are for its adapter, which has the others.
    """

    name: str
    distribution: str
    durability: Durability
    share: float
    watch: Watch
    adapter: str
    environment: str
    oldest_python: Version = ANY_PYTHON
    target: float | None = None
    settings: tuple[tuple[str, str], ...] = ()


OURS = Rows(
    began="SELECT (SELECT status FROM tasks ORDER BY id LIMIT 1) <> 'pending'",
    left="SELECT (SELECT status FROM tasks ORDER BY id DESC LIMIT 1) = 'pending'"
    " OR EXISTS (SELECT FROM tasks WHERE status = 'pending')"
    " OR EXISTS (SELECT FROM tasks WHERE status = 'processing')",
    kept="SELECT count(*) FROM tasks WHERE status = 'completed'",
)
_PGQUEUER = Rows(
    began="SELECT coalesce((SELECT status FROM pgqueuer WHERE id = 1) <> 'queued', true)",
    left="SELECT EXISTS (SELECT FROM pgqueuer WHERE id = {tasks}) OR EXISTS (SELECT FROM pgqueuer)",
    kept="SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'",
)
NODE = "graphile-worker"
AGAIN = "sluice again"
"""Sluice as its own peer: the noise."""
_REDIS_ONLY = 8.0
"""Of the fastest of them, and so of each."""
PEERS = (
    Peer(
        name="procrastinate",
        distribution="procrastinate",
        durability=Durability.KEPT,
        share=0.03,
        watch=Rows(
            began="SELECT (SELECT status FROM procrastinate_jobs ORDER BY id LIMIT 1) <> 'todo'",
            left="SELECT (SELECT status FROM procrastinate_jobs ORDER BY id DESC LIMIT 1) IN ('todo', 'doing')"
            " OR EXISTS (SELECT FROM procrastinate_jobs WHERE status IN ('todo', 'doing'))",
            kept="SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'",
        ),
        adapter="procrastinate_adapter.py",
        environment="procrastinate",
    ),
    Peer(
        name="SAQ on PostgreSQL",
        distribution="saq",
        durability=Durability.KEPT,
        share=0.04,
        watch=Rows(
            began="SELECT EXISTS (SELECT FROM saq_jobs WHERE status = 'active')"
            " OR EXISTS (SELECT FROM saq_jobs WHERE status = 'complete')",
            left="SELECT EXISTS (SELECT FROM saq_jobs WHERE status IN ('queued', 'active'))",
            kept="SELECT count(*) FROM saq_jobs WHERE status = 'complete'",
        ),
        adapter="saq_postgres_adapter.py",
        environment="saq",
    ),
    Peer(
        name="oban",
        distribution="oban",
        durability=Durability.KEPT,
        share=0.2,
        watch=Rows(
            began="SELECT (SELECT state FROM oban_jobs ORDER BY id LIMIT 1) <> 'available'",
            left="SELECT (SELECT state FROM oban_jobs ORDER BY id DESC LIMIT 1) IN ('available', 'executing')"
            " OR EXISTS (SELECT FROM oban_jobs WHERE state IN ('available', 'executing'))",
            kept="SELECT count(*) FROM oban_jobs WHERE state = 'completed'",
        ),
        adapter="oban_adapter.py",
        environment="oban",
        oldest_python=(3, 12),
    ),
    Peer(
        name="PgQueuer",
        distribution="pgqueuer",
        durability=Durability.DELETED,
        share=0.55,
        watch=_PGQUEUER,
        adapter="pgqueuer_adapter.py",
        environment="pgqueuer",
        target=2.5,
    ),
    Peer(
        name="PgQueuer, no limit",
        distribution="pgqueuer",
        durability=Durability.DELETED,
        share=0.55,
        watch=_PGQUEUER,
        adapter="pgqueuer_adapter.py",
        environment="pgqueuer",
        target=2.5,
        settings=(("MANAGERS", "2"), ("BATCH", "50"), ("LIMIT", "0")),
    ),
    Peer(
        name="graphile-worker",
        distribution="graphile-worker",
        durability=Durability.DELETED,
        share=1.2,
        watch=Rows(
            began="SELECT coalesce("
            "(SELECT locked_at IS NOT NULL FROM graphile_worker._private_jobs WHERE id = 1), true)",
            left="SELECT EXISTS (SELECT FROM graphile_worker._private_jobs WHERE id = {tasks})"
            " OR EXISTS (SELECT FROM graphile_worker._private_jobs)",
        ),
        adapter="adapter.js",
        environment=NODE,
        target=1,
    ),
    Peer(
        name="taskiq (streams)",
        distribution="taskiq-redis",
        durability=Durability.ACKNOWLEDGED,
        share=0.14,
        watch=Sizes(left=(("XINFO GROUPS", "taskiq"),)),
        adapter="taskiq_adapter.py",
        environment="taskiq",
        target=_REDIS_ONLY,
    ),
    Peer(
        name="SAQ on Redis",
        distribution="saq",
        durability=Durability.ACKNOWLEDGED,
        share=0.08,
        watch=Sizes(
            left=(
                ("LLEN", "saq:default:queued"),
                ("LLEN", "saq:default:active"),
                ("ZCARD", "saq:default:incomplete"),
            )
        ),
        adapter="saq_redis_adapter.py",
        environment="saq",
        target=_REDIS_ONLY,
    ),
    Peer(
        name="arq",
        distribution="arq",
        durability=Durability.ACKNOWLEDGED,
        share=0.1,
        watch=Sizes(left=(("ZCARD", "arq:queue"),)),
        adapter="arq_adapter.py",
        environment="arq",
        target=_REDIS_ONLY,
    ),
    Peer(
        name="streaq",
        distribution="streaq",
        durability=Durability.ACKNOWLEDGED,
        share=0.04,
        watch=Sizes(left=(("XLEN", "streaq:default:queues:normal"),)),
        adapter="streaq_adapter.py",
        environment="streaq",
        target=_REDIS_ONLY,
    ),
    Peer(
        name="dramatiq",
        distribution="dramatiq",
        durability=Durability.ACKNOWLEDGED,
        share=0.12,
        watch=Sizes(left=(("LLEN", "dramatiq:default"), ("HLEN", "dramatiq:default.msgs"))),
        adapter="dramatiq_adapter.py",
        environment="dramatiq",
        target=_REDIS_ONLY,
    ),
    Peer(
        name="celery",
        distribution="celery",
        durability=Durability.ACKNOWLEDGED,
        share=0.05,
        watch=Sizes(left=(("LLEN", "celery"), ("HLEN", "unacked"))),
        adapter="celery_adapter.py",
        environment="celery",
        target=_REDIS_ONLY,
    ),
    Peer(
        name="RQ",
        distribution="rq",
        durability=Durability.ACKNOWLEDGED,
        share=0.013,
        watch=Sizes(
            left=(
                ("LLEN", "rq:queue:default"),
                ("LLEN", "rq:queue:default:intermediate"),
                ("ZCARD", "rq:wip:default"),
            )
        ),
        adapter="rq_adapter.py",
        environment="rq",
        target=_REDIS_ONLY,
    ),
    Peer(
        name="huey",
        distribution="huey",
        durability=Durability.POPPED,
        share=0.16,
        watch=Sizes(left=(("LLEN", "huey.redis.bench"),)),
        adapter="huey_adapter.py",
        environment="huey",
        target=_REDIS_ONLY,
    ),
)
