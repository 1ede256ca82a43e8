"""Corrected means and shares: against published figures, by hand, and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import ttest_1samp

from inspector_plugin.agreement.corrected import (
    LabelledSample,
    corrected_mean,
    corrected_share,
)

Floats = NDArray[np.float64]
LABELS = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
SHARES = (0.1, 0.2, 0.3, 0.25, 0.15)
TRUE_MEAN, TRUE_HIGH = 3.15, 0.4


def sample_of(
    judge: Floats, truth: Floats, labelled: Floats, problems: Floats | None = None
) -> LabelledSample:
    reference = np.full(len(judge), np.nan)
    reference[labelled.astype(int)] = truth[labelled.astype(int)]
    codes = np.arange(len(judge)) if problems is None else problems.astype(int)
    return LabelledSample(judge, reference, codes)


def drawn(kind: str, random: np.random.Generator, rows: int = 1000, labels: int = 100):
    truth = random.choice(LABELS, p=SHARES, size=rows)
    judges = {
        "perfect": lambda: truth.copy(),
        "useless": lambda: random.choice(LABELS, size=rows),
        "biased": lambda: np.clip(np.round(truth * 0.6 + 2 + random.normal(0, 0.7, rows)), 1, 5),
        "constant": lambda: np.full(rows, 4.0),
    }
    return sample_of(judges[kind](), truth, random.choice(rows, labels, replace=False))


def as_high(sample: LabelledSample) -> LabelledSample:
    reference = np.where(sample.labelled, sample.reference > 3, np.nan)
    return LabelledSample((sample.judge > 3).astype(float), reference, sample.problems)


def known_rows() -> tuple[Floats, Floats]:
    """2,000 rows without a random generator, the first 200 of which are labelled."""
    numbers = np.arange(2000)
    judge = (numbers * 7919 % 97) / 97 * 4 + 1
    return judge, 0.8 * judge + 1.5 * ((numbers * 104729 % 101) / 101 - 0.5) + 0.3


@pytest.mark.parametrize(
    ("power", "mean", "low", "high"),
    # What ppi-python 0.2.3 gives: ppi_mean_pointestimate and ppi_mean_ci with lam=power.
    [
        (0.0, 2.67561988, 2.53609348, 2.81514629),
        (0.3, 2.67792916, 2.57841334, 2.77744499),
        (0.7, 2.68100820, 2.60921918, 2.75279721),
        (1.0, 2.68331748, 2.59617807, 2.77045689),
    ],
)
def test_a_given_power_gives_the_figures_of_ppi_python(
    power: float, mean: float, low: float, high: float
) -> None:
    judge, truth = known_rows()
    # Their lambda weighs the unlabelled rows, ours all rows.
    found = corrected_mean(sample_of(judge, truth, np.arange(200)), power * 2000 / 1800).corrected
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.value == pytest.approx(mean, abs=1e-8)
    # Student's t and degrees of freedom make ours a little longer.
    assert 1.0 <= (found.high - found.low) / (high - low) < 1.02


def test_the_interval_of_labels_alone_is_that_of_students_t() -> None:
    judge, truth = known_rows()
    found = corrected_mean(sample_of(judge, truth, np.arange(12))).labels_only
    expected = ttest_1samp(truth[:12], 0).confidence_interval()
    assert found is not None
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_the_tuned_power_gives_the_figures_of_ppi_python() -> None:
    judge, truth = known_rows()
    found = corrected_mean(sample_of(judge, truth, np.arange(200)))
    assert found.corrected is not None
    assert found.corrected.low is not None
    assert found.corrected.high is not None
    assert found.corrected.value == pytest.approx(2.68108747, abs=2e-4)
    assert found.corrected.high - found.corrected.low == pytest.approx(0.14355675, rel=0.02)
    assert found.naive == pytest.approx(judge.mean())


@pytest.mark.parametrize("kind", ["biased", "useless", "perfect", "constant"])
def test_intervals_of_means_cover_the_truth(kind: str) -> None:
    random = np.random.default_rng(11)
    found = [corrected_mean(drawn(kind, random)) for _ in range(1000)]
    estimates = [each.corrected for each in found if each.corrected is not None]
    covered = np.mean([(e.low or 9) <= TRUE_MEAN <= (e.high or 0) for e in estimates])
    assert 0.93 <= covered <= 0.97
    saved = np.mean([each.labels_saved or 0.0 for each in found])
    expected = {"biased": (50, 100), "useless": (0, 3), "perfect": (850, 920), "constant": (0, 0)}
    assert expected[kind][0] <= saved <= expected[kind][1]


def test_intervals_of_shares_cover_the_truth_where_they_are_defined() -> None:
    for kind in ("biased", "perfect"):
        random = np.random.default_rng(12)
        found = [corrected_share(as_high(drawn(kind, random))) for _ in range(1000)]
        estimates = [each.corrected for each in found if each.corrected is not None]
        assert len(estimates) == 1000
        covered = np.mean([(e.low or 0) <= TRUE_HIGH <= (e.high or 0) for e in estimates])
        assert 0.93 <= covered <= 0.97, kind


def test_a_share_by_a_useless_judge_has_a_reason_in_place_of_an_interval() -> None:
    random = np.random.default_rng(13)
    found = [corrected_share(as_high(drawn("useless", random))) for _ in range(1000)]
    without = [each for each in found if each.corrected is None]
    assert len(without) > 930  # an interval of 95% leaves 0 out now and then
    assert "cannot be told from 0" in (without[0].reason or "")


def test_the_share_of_rogan_and_gladen_by_hand() -> None:
    # 100 labels: 50 high, of which the judge finds 45, and 50 low, of which it finds 40.
    truth = np.repeat([1.0, 0.0], 50)
    judge = np.concatenate([np.repeat([1.0, 0.0], [45, 5]), np.repeat([1.0, 0.0], [10, 40])])
    others = np.repeat([1.0, 0.0], [99_950, 99_950])
    sample = sample_of(
        np.concatenate([judge, others]),
        np.concatenate([truth, np.zeros(199_900)]),
        np.arange(100),
    )
    found = corrected_share(sample)
    assert (found.sensitivity, found.specificity) == (0.9, 0.8)
    assert found.naive == pytest.approx(0.5, abs=1e-4)
    share = (found.naive + 0.8 - 1) / 0.7
    assert found.corrected is not None
    assert found.corrected.value == pytest.approx(share)
    # Their variance, for labels beside so many rows: sums of three binomial variances.
    variance = (share**2 * 0.9 * 0.1 / 50 + (1 - share) ** 2 * 0.8 * 0.2 / 50) / 0.7**2
    assert found.corrected.stderr == pytest.approx(math.sqrt(variance * 100 / 98), rel=0.01)


def test_rows_of_one_problem_are_not_taken_for_independent() -> None:
    random = np.random.default_rng(14)
    covered = {True: 0, False: 0}
    for _ in range(400):
        problems = np.repeat(np.arange(150), 4)
        truth = 3 + random.normal(size=150)[problems] + random.normal(0, 0.3, 600)
        judge = truth + random.normal(size=150)[problems]
        chosen = np.flatnonzero(problems < 40)  # all four rows of a problem
        for by_problem in covered:
            codes = problems if by_problem else np.arange(600)
            found = corrected_mean(sample_of(judge, truth, chosen, codes)).corrected
            assert found is not None
            covered[by_problem] += (found.low or 9) <= 3 <= (found.high or 0)
    assert 0.92 <= covered[True] / 400 <= 0.975
    assert covered[False] / 400 < 0.8


def test_another_scale_needs_no_conversion() -> None:
    sample = drawn("biased", np.random.default_rng(15))
    rescaled = LabelledSample((sample.judge - 1) / 4, sample.reference, sample.problems)
    one, other = corrected_mean(sample), corrected_mean(rescaled)
    assert one.corrected is not None
    assert other.corrected is not None
    assert other.corrected.low == pytest.approx(one.corrected.low)
    assert other.power == pytest.approx(4 * one.power)


def test_what_cannot_be_said_has_a_reason() -> None:
    judge, truth = known_rows()
    assert "no row has both" in (corrected_mean(sample_of(judge, truth, np.array([]))).reason or "")
    few = corrected_mean(sample_of(judge, truth, np.arange(9)))
    assert few.reason == "9 labelled problems; an interval takes 10"
    assert few.corrected is not None
    assert few.corrected.low is None
    same = corrected_mean(sample_of(judge, np.full(2000, 4.0), np.arange(50)))
    assert same.reason == "all 50 labels are 4: how far they vary is unknown"
    all_high = corrected_share(sample_of(np.ones(100), np.ones(100), np.arange(50)))
    assert all_high.reason == "all 50 labels are high, so the judge's specificity is unknown"
    assert all_high.corrected is None
    turned = as_high(drawn("perfect", np.random.default_rng(17)))
    turned = LabelledSample(1 - turned.judge, turned.reference, turned.problems)
    assert "check that both scales point the same way" in (corrected_share(turned).reason or "")
    constant = corrected_mean(drawn("constant", np.random.default_rng(16)))
    assert constant.remarks == ("the judge gives every row the same score: it saves no labels",)


def test_labels_that_are_no_random_draw_are_remarked_on() -> None:
    judge, truth = known_rows()
    lowest = np.argsort(judge)[:100].astype(float)
    [remark] = corrected_mean(sample_of(judge, truth, lowest)).remarks
    assert "no random draw of the rows" in remark
    assert corrected_mean(sample_of(judge, truth, np.arange(100))).remarks == ()


def test_rounding_is_not_taken_for_rows_that_were_chosen() -> None:
    """With labels for all rows, the judge's two means differ by rounding alone."""
    for seed in range(20):
        random = np.random.default_rng(seed)
        judge, truth = np.round(random.normal(3, 1, 100), 4), np.round(random.normal(3, 1, 100))
        assert corrected_mean(sample_of(judge, truth, np.arange(100))).remarks == ()
