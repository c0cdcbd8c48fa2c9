"""Figures follow from raw runs: ratios within a round, bounds on the value itself, the quietest attempts."""

from __future__ import annotations

import pytest

from benchmarks.results import BOUND, Comparison, Run, counted, figures, turns
from benchmarks.show import aim


def run(side: str, value: float, *, number: int = 1, attempt: int = 1, others: float = 0.0) -> Run:
    return Run("w", side, number, attempt, value, "ms", {"others": others})


def test_a_bound_without_another_side_is_judged_by_the_median_of_the_value() -> None:
    runs = [run("ours", value, number=number) for number, value in enumerate((10.0, 30.0, 20.0), 1)]
    (figure,) = figures(runs, [Comparison("p99", "w", "ours", None, at_most=25)])
    assert (figure.value, figure.limit, figure.beside, figure.met) == (20.0, 25, BOUND, True)
    assert figure.ratios == (0.4, 1.2, 0.8)
    assert figure.ratio == 0.8


@pytest.mark.parametrize(("at_most", "met"), [(20.0, True), (19.9, False)])
def test_the_bound_itself_is_still_allowed(at_most: float, met: bool) -> None:
    (figure,) = figures([run("ours", 20.0)], [Comparison("p99", "w", "ours", None, at_most=at_most)])
    assert figure.met is met


@pytest.mark.parametrize(("value", "met"), [(0.0, True), (3.0, False)])
def test_beside_none_at_all_the_ratio_is_the_value(value: float, met: bool) -> None:
    (figure,) = figures([run("ours", value)], [Comparison("lost", "w", "ours", None, at_most=0)])
    assert (figure.ratio, figure.met) == (value, met)


@pytest.mark.parametrize(
    ("target", "at_most", "met"),
    [
        (None, None, None),
        (2.0, None, True),
        (2.1, None, False),
        (2.0, 20.0, True),
        (2.1, 20.0, False),
        (2.0, 19.0, False),
        (None, 19.0, False),
    ],
)
def test_a_ratio_and_a_bound_must_both_be_met(
    target: float | None, at_most: float | None, met: bool | None
) -> None:
    runs = [run("ours", 20.0), run("theirs", 10.0)]
    (figure,) = figures(runs, [Comparison("x", "w", "ours", "theirs", target=target, at_most=at_most)])
    assert (figure.ratio, figure.met) == (2.0, met)


@pytest.mark.parametrize(("suffices", "met"), [(None, False), (20.1, False), (20.0, True)])
def test_a_value_that_suffices_needs_no_ratio(suffices: float | None, met: bool) -> None:
    runs = [run("ours", 20.0), run("theirs", 10.0)]
    (figure,) = figures(runs, [Comparison("x", "w", "ours", "theirs", target=3, suffices=suffices)])
    assert figure.met is met
    assert aim(figure) == ("≥ 3" if suffices is None else "≥ 3 or 20 ms")


@pytest.mark.parametrize(("suffices", "met"), [(None, False), (19.9, False), (20.0, True)])
def test_a_value_that_is_little_enough_needs_no_ratio(suffices: float | None, met: bool) -> None:
    runs = [run("ours", 20.0), run("theirs", 10.0)]
    (figure,) = figures(runs, [Comparison("x", "w", "ours", "theirs", most=1.5, suffices=suffices)])
    assert figure.met is met
    assert aim(figure) == ("≤ 1.5" if suffices is None else "≤ 1.5 or 20 ms")


def test_a_comparison_stands_beside_something() -> None:
    with pytest.raises(ValueError, match="beside nothing"):
        Comparison("x", "w", "ours", None)


def test_there_is_no_figure_of_a_side_that_was_not_run() -> None:
    comparisons = [Comparison("x", "w", "ours", "theirs"), Comparison("y", "w", "other", None, at_most=1)]
    assert figures([run("ours", 1.0)], comparisons) == []


def test_ratios_are_taken_within_a_round_and_never_across() -> None:
    runs = [run("ours", 10.0), run("theirs", 10.0), run("ours", 1.0, number=2), run("theirs", 1.0, number=2)]
    runs.append(run("ours", 99.0, number=3))
    (figure,) = figures(runs, [Comparison("x", "w", "ours", "theirs")])
    assert figure.ratios == (1.0, 1.0)


def test_of_each_round_the_quietest_attempt_counts() -> None:
    runs = [run("ours", 1.0, others=0.5), run("ours", 2.0, attempt=2, others=0.1)]
    assert [one.value for one in counted(runs)] == [2.0]


def test_no_side_always_goes_first() -> None:
    assert [turn.order for turn in turns(("a", "b", "c"), 3)] == [
        ("a", "b", "c"),
        ("c", "b", "a"),
        ("a", "b", "c"),
    ]
