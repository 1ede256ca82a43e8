"""Plans of labels: widths foretold, rows chosen with their chances, and weights that undo them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from inspector_plugin.agreement.corrected import LabelledSample, corrected_mean
from inspector_plugin.agreement.label_choice import (
    PlannedWeights,
    chances_of,
    choose,
    combined_weights,
)
from inspector_plugin.agreement.label_errors import error_model
from inspector_plugin.agreement.label_plan import (
    expected_width,
    needed_labels,
    plan_group,
    rows_needed,
)

Floats = NDArray[np.float64]
ROWS, TRUE_MEAN = 1000, 3.15


def rows_drawn(random: np.random.Generator) -> tuple[Floats, Floats, Floats, NDArray[np.bool_]]:
    """A judge that is further off where it is unsure, and too low where it is flagged."""
    truth = random.choice([1.0, 2.0, 3.0, 4.0, 5.0], p=(0.1, 0.2, 0.3, 0.25, 0.15), size=ROWS)
    unsure, flagged = random.beta(1, 3, ROWS), random.random(ROWS) < 0.1
    judge = 0.8 * truth + 1 + random.normal(size=ROWS) * (0.2 + 2 * unsure)
    return judge - 1.5 * flagged * (truth - 1), truth, unsure, flagged


def planned(
    random: np.random.Generator, pilot: int, new: int, seed: int
) -> tuple[LabelledSample, float]:
    """A pilot of equal chances, a plan by it, and the labels of both; the width foretold."""
    judge, truth, unsure, flagged = rows_drawn(random)
    reference = np.full(ROWS, np.nan)
    first = random.choice(ROWS, pilot, replace=False)
    reference[first] = truth[first]
    model = error_model(LabelledSample(judge, reference, np.arange(ROWS)), unsure, flagged)
    left = np.flatnonzero(np.isnan(reference))
    chances = chances_of(model.sizes[left], new)
    chosen = choose(chances, seed)
    stages, weights, shares = (np.full(ROWS, np.nan) for _ in range(3))
    rows = left[chosen]
    stages[rows], shares[rows] = 1, pilot / (pilot + new)
    weights[rows] = (1 - pilot / (pilot + new)) / chances[chosen]
    reference[rows] = truth[rows]
    combined = combined_weights(~np.isnan(reference), PlannedWeights(stages, weights, shares))
    of_all = np.ones(ROWS)
    of_all[left] = chances
    width = expected_width(pilot + new, of_all, model, pilot)
    return LabelledSample(judge, reference, np.arange(ROWS), combined), width


def test_weighted_estimates_are_unbiased_and_their_intervals_cover() -> None:
    random = np.random.default_rng(21)
    fixed, tuned, unweighted, covered, widths = [], [], [], [], []
    for draw in range(1000):
        sample, foretold = planned(random, 50, 150, draw)
        estimate = corrected_mean(sample).corrected
        assert estimate is not None
        assert estimate.low is not None
        assert estimate.high is not None
        tuned.append(estimate.value - TRUE_MEAN)
        covered.append(estimate.low <= TRUE_MEAN <= estimate.high)
        widths.append((estimate.high - estimate.low) / foretold)
        for errors, weights in ((fixed, sample.weights), (unweighted, None)):
            again = LabelledSample(sample.judge, sample.reference, sample.problems, weights)
            found = corrected_mean(again, power=0.6).corrected
            assert found is not None
            errors.append(found.value - TRUE_MEAN)
    noise = np.std(fixed) / 1000**0.5
    assert abs(np.mean(fixed)) < 3.5 * noise
    assert abs(np.mean(unweighted)) > 3.5 * noise  # the weights are needed
    # Tuning the power takes a bias of order 1/n, far below the standard error.
    assert abs(np.mean(tuned)) < 0.1 * np.std(tuned)
    assert 0.93 <= np.mean(covered) <= 0.97
    assert np.mean(widths) == pytest.approx(1, abs=0.04)


def test_rows_are_chosen_with_their_chances() -> None:
    sizes = np.array([0.1] * 60 + [1.0] * 30 + [20.0] * 10)
    chances = chances_of(sizes, 40, equal_share=0.2)
    assert chances.sum() == pytest.approx(40)
    assert (chances[-10:] == 1).all()
    assert chances.max() <= 1
    counts = np.zeros(100)
    for seed in range(3000):
        chosen = choose(chances, seed)
        assert len(set(chosen.tolist())) == 40
        counts[chosen] += 1
    assert counts / 3000 == pytest.approx(chances, abs=0.04)
    assert (chances_of(sizes, 100) == 1).all()


def test_no_row_stands_for_more_than_twice_as_many_as_with_equal_chances() -> None:
    chances = chances_of(np.array([1e-6] * 90 + [1.0] * 10), 10)
    assert (1 / chances).max() <= 2 * 100 / 10 + 1e-9


def test_the_pilot_shows_where_errors_are() -> None:
    random = np.random.default_rng(22)
    judge, truth, unsure, flagged = rows_drawn(random)
    model = error_model(LabelledSample(judge, truth, np.arange(ROWS)), unsure, flagged)
    assert model.of_unsure > 0
    assert model.of_flags > 0
    assert model.sizes[flagged].mean() > model.sizes[~flagged].mean()
    assert model.spread == pytest.approx(truth.std(ddof=1))
    few = LabelledSample(judge, np.where(np.arange(ROWS) < 9, truth, np.nan), np.arange(ROWS))
    with pytest.raises(ValueError, match="9 labelled problems"):
        error_model(few, unsure, flagged)


def test_the_labels_needed_give_the_width_asked_for() -> None:
    random = np.random.default_rng(23)
    judge, truth, unsure, flagged = rows_drawn(random)
    model = error_model(LabelledSample(judge, truth, np.arange(ROWS)), unsure, flagged)
    planned_, equal, alone = (
        needed_labels(0.3, model.sizes, model, 0, judge=by_judge, equal_share=share)
        for by_judge, share in ((True, 0.5), (True, 1.0), (False, 1.0))
    )
    assert planned_ is not None
    assert equal is not None
    assert alone is not None
    assert planned_ < equal < alone
    # By hand: 2 * t * spread / sqrt(n) = width, with t about 1.97.
    assert alone == pytest.approx((2 * 1.97 * model.spread / 0.3) ** 2, rel=0.02)
    assert needed_labels(0.05, model.sizes, model, 0) is None
    assert rows_needed(0.05, model, ROWS) == pytest.approx(
        (2 * 1.962 * model.spread / 0.05) ** 2, rel=0.01
    )
    plan = plan_group(model.sizes, {"a": model}, 0, 0.3, None)
    assert plan.new == planned_
    assert plan.criteria["a"].width <= 0.3
    assert plan_group(model.sizes, {"a": model}, 0, 0.05, None).new == 0


def test_a_second_plan_takes_the_first_for_its_pilot() -> None:
    nan = np.nan
    labelled = np.array([True, True, True, True, False, False])
    # Row 0 is the pilot, row 1 of the first plan, rows 2 and 3 of the second.
    planned_ = PlannedWeights(
        np.array([nan, 1, 2, 2, nan, nan]),
        np.array([nan, 2.5, 1.2, 0.8, nan, nan]),
        np.array([nan, 0.5, 0.4, 0.4, nan, nan]),
    )
    found = combined_weights(labelled, planned_)
    # Pilot: 6 rows for 1, halved with itself: 3.5; then 0.4 * 3.5 + 0.6. Row 1: 0.4 * 2.5 + 0.6.
    assert found[:4] == pytest.approx([2.0, 1.6, 1.2, 0.8])
    assert np.isnan(found[4:]).all()
