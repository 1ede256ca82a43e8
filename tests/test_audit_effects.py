"""The statistics of an audit, held to scipy, to independent formulas and to simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from inspector_plugin.audits.effects import false_discovery, mean_shift, p_above


def test_one_row_a_problem_is_the_paired_t_test() -> None:
    random = np.random.default_rng(0)
    differences = random.normal(0.2, 1, 40)
    shift = mean_shift(differences, np.arange(40))
    assert shift is not None
    wanted = stats.ttest_1samp(differences, 0)
    interval = wanted.confidence_interval(0.95)
    assert shift.mean.value == pytest.approx(differences.mean())
    assert (shift.mean.low, shift.mean.high) == pytest.approx((interval.low, interval.high))
    assert shift.p == pytest.approx(wanted.pvalue)
    assert shift.problems == 40
    # (t_.975 + t_.8) * s / sqrt(n), by hand.
    stderr = differences.std(ddof=1) / math.sqrt(40)
    assert shift.detectable == pytest.approx((2.022691 + 0.850904) * stderr, rel=1e-4)


def test_rows_of_one_problem_are_one_observation() -> None:
    random = np.random.default_rng(1)
    by_problem = random.normal(0.3, 1, 15)
    once = mean_shift(by_problem, np.arange(15))
    often = mean_shift(np.repeat(by_problem, 7), np.repeat(np.arange(15), 7))
    assert once is not None
    assert often is not None
    assert (often.mean.low, often.p) == pytest.approx((once.mean.low, once.p))
    assert often.detectable == pytest.approx(once.detectable)


def test_a_smallest_effect_is_found_in_four_of_five_samples() -> None:
    random = np.random.default_rng(2)
    size, problems = 30, np.arange(30)
    effect = (2.04523 + 0.854192) / math.sqrt(size)  # of draws with a deviation of 1
    shifts = [mean_shift(random.normal(effect, 1, size), problems) for _ in range(1500)]
    found = np.mean([shift is not None and shift.p is not None and shift.p <= 0.05
                     for shift in shifts])  # fmt: skip
    assert found == pytest.approx(0.8, abs=0.035)
    assert np.median([shift.detectable for shift in shifts if shift]) == pytest.approx(
        effect, rel=0.05
    )


def test_a_few_rows_that_all_move_alike_prove_little() -> None:
    shift = mean_shift(np.ones(3), np.arange(3))
    assert shift is not None
    assert shift.p == 0.25  # 2 * 2**-3
    moved = np.zeros(60)
    moved[:2] = 1
    shift = mean_shift(moved, np.arange(60))
    assert shift is not None
    assert shift.p == 0.5
    shift = mean_shift(np.ones(20), np.arange(20))
    assert shift is not None
    assert shift.p == 2.0**-19
    assert (shift.mean.low, shift.mean.high, shift.detectable) == (1, 1, 0)


def test_without_a_shift_there_is_none() -> None:
    shift = mean_shift(np.zeros(10), np.arange(10))
    assert shift is not None
    assert (shift.mean.value, shift.p, shift.detectable) == (0, 1, 0)
    single = mean_shift(np.array([1.0, 2.0]), np.array([3, 3]))
    assert single is not None
    assert (single.mean.value, single.mean.low, single.p, single.detectable) == (
        1.5, None, None, None,
    )  # fmt: skip
    assert mean_shift(np.array([]), np.array([], dtype=np.intp)) is None


def test_a_share_above_what_is_allowed() -> None:
    assert p_above(0.2, 50, 0.05) == pytest.approx(stats.binom.sf(9, 50, 0.05))
    assert p_above(0.0, 50, 0.05) == 1
    assert p_above(1.0, 0.3, 0.05) == pytest.approx(0.05)


def test_false_discovery_leaves_out_what_was_not_tested() -> None:
    # By hand: .01 * 4 / 1, .02 * 4 / 2, .03 * 4 / 3 (each the least of those above), .5.
    adjusted = false_discovery([0.02, None, 0.5, 0.01, 0.03])
    assert adjusted[1] is None
    assert [each for each in adjusted if each is not None] == pytest.approx([0.04, 0.5, 0.04, 0.04])
    assert false_discovery([None]) == [None]
    assert false_discovery([]) == []
