"""The report says what the result files say: every run, every figure, what was missed, and the same each time."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from benchmarks.pages import page
from benchmarks.recorded import AT_DEPTH, AT_SHALLOW, Session, Unreadable, families, read

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(workload: str, side: str, value: float, **more: Any) -> dict[str, Any]:
    told = {"round": 1, "attempt": 1, "unit": "tasks/s", "counted": True, **more}
    facts = {"others": told.pop("others", 0.0), "steal": 0.0, **told.pop("facts", {})}
    return {"workload": workload, "side": side, "value": value, "facts": facts, **told}


def figure(name: str, ratios: list[float], *, target: float | None, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "unit": "tasks/s",
        "value": 33_000.0,
        "beside": "bare statements",
        "limit": 55_000.0,
        "ratio": sorted(ratios)[len(ratios) // 2],
        "ratios": ratios,
        "target": target,
        "at_most": None,
        **more,
    }


def session(began: str, **more: Any) -> dict[str, Any]:
    return {
        "began_at": began,
        "options": {"runs": 3},
        "machine": {"processor": "Some | Processor", "processors": 2, "load_at_start": [0.1, 0.2]},
        "versions": {"python": "3.11.7", "sluice": {"version": "0.1.0", "commit": "abc"}},
        "settings": {"postgresql": {"fsync": "on"}},
        "figures": [],
        "runs": [],
        **more,
    }


DRAIN = session(
    "2026-01-02T03:04:05.678+00:00",
    figures=[
        figure("drain, one process", [0.5, 0.6, 0.7], target=0.6),
        figure("drain, many queued", [0.7, 0.8, 0.85], target=0.9),
        figure("latency p99", [0.4], target=None, at_most=25.0, unit="ms", value=10.0, beside="the bound"),
    ],
    runs=[
        run("drain", "sluice", 33_001.0, facts={"tasks": 1000, "cpu_seconds": {"consumer": 0.025}}),
        run("drain", "sluice", 29_002.0, round=2, others=0.2, counted=False),
        run("drain", "sluice", 33_003.0, round=2, attempt=2, facts={"tasks": 1000}),
        run("drain", "bare | statements", 55_004.0, others=0.11),
        run("backlog: get", AT_SHALLOW, 0.5, unit="ms", facts={"pages": 7, "table_rows": 100}),
        run("backlog: get", AT_DEPTH, 0.75, unit="ms", facts={"pages": 9, "table_rows": 10_000_000}),
        run("limit: disk", "8 KiB", 2_345.0, unit="flushes/s"),
    ],
)
PEERS = session(
    "2026-01-01T00:00:00+00:00",
    durability={"RQ": "C", "PgQueuer": "B"},
    absent={"oban": "needs a newer Python"},
    versions={"peers": {"RQ": {"interpreter": "3.11", "rq": "2.6.1"}}},
    figures=[
        figure("drain beside RQ", [100.0, 110.0, 120.0], target=None, beside="RQ", limit=331.0),
        figure("drain beside PgQueuer", [2.4, 2.5, 2.6], target=None, beside="PgQueuer", limit=12_345.0),
        figure("drain beside sluice again", [1.01], target=None, beside="sluice again"),
    ],
    runs=[
        run("drain, RQ", "sluice", 33_000.0),
        run("drain, RQ", "RQ", 331.0, facts={"worker_memory_mb": 31.4}),
        run("drain, PgQueuer", "sluice", 33_000.0),
        run("drain, PgQueuer", "PgQueuer", 12_345.0),
        run("drain, sluice again", "sluice", 33_000.0),
        run("drain, sluice again", "sluice again", 33_100.0),
    ],
)


def sessions(directory: Path, *told: dict[str, Any]) -> list[Session]:
    paths = [directory / f"{at}.json" for at in range(len(told))]
    for path, one in zip(paths, told, strict=True):
        path.write_text(json.dumps(one), encoding="utf-8")
    random.shuffle(paths)
    return read(paths)


def lines(text: str, *words: str) -> list[str]:
    return [line for line in text.splitlines() if all(word in line for word in words)]


def test_files_are_taken_by_their_time_whatever_their_order(tmp_path: Path) -> None:
    found = sessions(tmp_path, DRAIN, PEERS)
    assert [(one.letter, bool(one.peers)) for one in found] == [("A", True), ("B", False)]


def test_the_report_that_is_here_was_made_from_the_files_that_are_here() -> None:
    found = read((BENCHMARKS / "record").glob("*.json"))
    drawn = ["targets", "peers", "depth", "cpu", *(f"runs-{name}" for name in families(found))]
    pictures = {name: f"plots/{name}.svg" for name in drawn}
    assert (BENCHMARKS / "REPORT.md").read_text() == page(found, pictures)
    assert {path.stem for path in (BENCHMARKS / "plots").iterdir()} == set(drawn)


def test_the_same_files_make_the_same_page(tmp_path: Path) -> None:
    assert len({page(sessions(tmp_path, DRAIN, PEERS), {}) for _ in range(5)}) == 1


def test_every_value_is_in_the_page_and_marked_as_what_it_is(tmp_path: Path) -> None:
    [runs] = lines(page(sessions(tmp_path, DRAIN), {}), "| drain | sluice |", "tasks/s")
    assert runs.endswith("| 33,001 ~~*29,002*~~ 33,003 |")


def test_a_noisy_run_that_counts_is_slanted_and_not_struck(tmp_path: Path) -> None:
    [runs] = lines(page(sessions(tmp_path, DRAIN), {}), "bare \\| statements", "55,004")
    assert "| *55,004* |" in runs


def test_what_is_missed_stands_first_and_is_counted(tmp_path: Path) -> None:
    told = page(sessions(tmp_path, DRAIN), {})
    assert "2 of 3 are met" in told
    targets = lines(told, "≥") + lines(told, "≤")
    assert targets[0].startswith("| ✘ | drain, many queued |")
    assert "**0.80** (0.70 to 0.85)" in targets[0]
    assert "≤ 25 ms" in targets[-1]
    assert targets[-1].startswith("| ✔ | latency p99 | 10.0 ms |")


def test_what_a_task_costs_is_by_process(tmp_path: Path) -> None:
    told = json.loads(json.dumps(DRAIN))
    told["runs"] = told["runs"][:1]
    assert lines(page(sessions(tmp_path, told), {}), "| drain | sluice | consumer 25.0 |")


def test_a_cost_that_one_run_lacks_is_not_told(tmp_path: Path) -> None:
    assert "What one task or request costs" not in page(sessions(tmp_path, DRAIN), {})


def test_statements_at_depth_stand_in_a_table_of_their_own(tmp_path: Path) -> None:
    told = page(sessions(tmp_path, DRAIN), {})
    assert lines(told, "| backlog: get | 100 | 10,000,000 | 0.50 | 0.75 | 7 | 9 | 1.50 |")
    [found] = sessions(tmp_path, DRAIN)
    assert list(families([found])) == ["drain"]


def test_limits_are_told(tmp_path: Path) -> None:
    assert lines(page(sessions(tmp_path, DRAIN), {}), "| disk | 8 KiB | 2,345 | flushes/s |")


def test_queues_stand_by_class_with_those_that_have_no_figure(tmp_path: Path) -> None:
    told = page(sessions(tmp_path, PEERS), {})
    [again] = lines(told, "beside itself")
    [pgqueuer] = lines(told, "| B | PgQueuer |")
    [rq] = lines(told, "| C | RQ |")
    assert told.index(again) < told.index(pgqueuer) < told.index(rq)
    assert "| 2.6.1 | 331 | 33,000 | **110** (100 to 120) |" in rq
    assert "31.4" in rq
    assert "- oban: needs a newer Python" in told


def test_pictures_are_shown_where_there_are_any(tmp_path: Path) -> None:
    told = page(sessions(tmp_path, DRAIN), {"targets": "plots/targets.svg", "runs-drain": "plots/d.svg"})
    assert "](plots/targets.svg)" in told
    assert "](plots/d.svg)" in told
    assert "![" not in page(sessions(tmp_path, DRAIN), {})


def test_no_table_has_a_row_of_another_width(tmp_path: Path) -> None:
    width = 0
    for line in page(sessions(tmp_path, DRAIN, PEERS), {}).splitlines():
        cells = line.replace("\\|", "").count("|") if line.startswith("|") else 0
        assert not (width and cells) or cells == width
        width = cells


@pytest.mark.parametrize("text", ["", "[]", '{"runs": []}', "null"])
def test_what_is_no_result_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(Unreadable, match=r"other\.json"):
        read([path])


def test_pictures_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="requirements/report.txt is not installed")
    from benchmarks.plots import draw

    first, second = (draw(sessions(tmp_path, DRAIN, PEERS)) for _ in range(2))
    assert first == second
    assert set(first) == {"targets", "peers", "depth", "runs-drain"}
    assert all(b"<text" in picture and b"dc:date" not in picture for picture in first.values())
