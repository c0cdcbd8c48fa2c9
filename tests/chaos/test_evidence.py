"""What the checker judges by: histories, facts and logs become evidence, which tells a task's story."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.chaos.evidence import Complaint, Fault
from tests.chaos.gathering import gather
from tests.chaos.history import complaints
from tests.chaos.innocence import GOOD, T, s, with_
from tests.chaos.report import judge


def test_the_story_of_a_task_tells_in_order_what_clients_rows_handlers_and_faults_did() -> None:
    story = with_(faults=[Fault("Redis flushed", "redis", s(0.15), s(0.16))]).story(T)
    assert [line.split(" s  ")[1].split(" (")[0] for line in story] == [
        "client asks: submit",
        "row: None",
        "client hears: submit ok pending 0",
        "row: pending",
        "consumer-1.1 starts the handler under token 1",
        "fault: Redis flushed",
        "healed: Redis flushed",
        "consumer-1.1 ends it under token 1: ok",
        "row: processing",
    ]


def test_tracebacks_and_failed_steps_are_complaints_and_what_faults_bring_along_is_none(
    tmp_path: Path,
) -> None:
    (tmp_path / "log-consumer-1.1.jsonl").write_text(
        '{"event": "step.failed", "level": "error", "reason": "KeyError(1)"}\n'
        '{"event": "lease.lost", "level": "error"}\n'
        '{"event": "task.failed", "level": "warning"}\n'
        "sluice consumer: ending this process: handlers outlived the lease\n"
    )
    (tmp_path / "log-consumer-2.1.jsonl").write_text(
        "Traceback (most recent call last):\n  here\nKeyError: 1\n"
    )
    assert [(found.member, found.text) for found in complaints(tmp_path)] == [
        ("consumer-1.1", "step.failed: KeyError(1)"),
        ("consumer-2.1", "it ended with a traceback: KeyError: 1"),
    ]


def test_histories_and_facts_become_evidence() -> None:
    events = [
        {"t": s(0), "event": "load", "rate": 1},
        {"t": s(0), "event": "invoke", "n": 1, "op": "submit"},
        {"t": s(0.02), "event": "ok", "n": 1, "id": T, "status": "pending", "fencing_token": 0},
        {
            "t": s(0.11),
            "event": "start",
            "id": T,
            "token": 1,
            "member": "consumer-1.1",
            "kind": "chaos.effect",
        },
        {"t": s(0.19), "event": "end", "id": T, "token": 1, "member": "consumer-1.1", "how": "ok"},
        {"t": s(90), "event": "load.end"},
        {"t": s(100), "event": "leave"},
        {"t": s(100.5), "event": "exit", "member": "consumer-1.1", "status": 0},
    ]
    facts = {
        "settings": {"lease": 3.0, "drain": 3.0, "capacity": 20},
        "rows": [
            {
                "id": T,
                "status": "completed",
                "kind": "chaos.effect",
                "message": "1",
                "token": 2,
                "error": None,
            }
        ],
        "effects": [{"id": T, "token": 1}],
        "left_behind": ["consumer-1.1: a fork server"],
        "transitions": [
            {
                "seq": found.seq,
                "t": found.at,
                "id": T,
                "old_status": found.old,
                "new_status": found.new,
                "old_token": found.old_token,
                "new_token": found.new_token,
                "crashes": found.crashes,
                "attempt": found.attempt,
            }
            for found in GOOD.changes
        ],
    }
    evidence = gather(events, facts)
    left = [Complaint("consumer-1.1", "a fork server")]
    assert evidence == replace(GOOD, left_behind=left)
    assert judge(replace(evidence, left_behind=[])).clean
