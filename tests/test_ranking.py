"""Rankings of models: against scipy, by hand, and what they say that they cannot tell."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.stats import kendalltau, norm, spearmanr, ttest_ind, ttest_rel

from inspector_plugin.agreement.rank_agreement import rank_agreement
from inspector_plugin.agreement.ranking import ModelPair, _corrected_by_holm, rank_models
from inspector_plugin.report.ranking import ranking_section, verdict

PROBLEMS = 300


def scores_of(*abilities: float, seed: int = 0) -> tuple[np.ndarray, list[str], np.ndarray]:
    """One row for each problem and model, problems differing in how hard they are."""
    random = np.random.default_rng(seed)
    hard = random.normal(0, 1, PROBLEMS)[:, None]
    scores = 3 + hard + np.array(abilities) + random.normal(0, 0.5, (PROBLEMS, len(abilities)))
    models = [f"m{i}" for i in range(len(abilities))] * PROBLEMS
    return scores.ravel(), models, np.repeat(np.arange(PROBLEMS), len(abilities))


def test_a_pair_is_tested_as_by_a_paired_t_test() -> None:
    scores, models, problems = scores_of(0.0, 0.05, seed=7)
    [pair] = rank_models(scores, models, problems).pairs
    first, second = scores[0::2], scores[1::2]
    expected = ttest_rel(first, second)
    assert (pair.better, pair.worse) == ("m0", "m1")
    assert pair.p_value == pytest.approx(expected.pvalue, abs=0.015)
    assert pair.adjusted == pair.p_value  # one pair
    interval = expected.confidence_interval()
    assert pair.difference is not None
    assert pair.difference.value == pytest.approx((first - second).mean())
    assert pair.difference.low == pytest.approx(interval.low, abs=0.01)
    assert pair.difference.high == pytest.approx(interval.high, abs=0.01)
    assert pair.wins == pytest.approx((first > second).mean())
    # Unpaired, the hardness of problems would hide the difference.
    assert 0.05 < expected.pvalue < ttest_ind(first, second).pvalue


def test_means_win_rates_and_ranks() -> None:
    scores, models, problems = scores_of(0.0, 0.0, 0.5, seed=1)
    ranking = rank_models(scores, models, problems)
    assert [each.model for each in ranking.models] == ["m2", "m1", "m0"]
    assert [(each.best_rank, each.worst_rank) for each in ranking.models] == [
        (1, 1),
        (2, 3),
        (2, 3),
    ]
    by_model = scores.reshape(PROBLEMS, 3)
    first = ranking.models[0]
    assert first.mean.value == pytest.approx(by_model[:, 2].mean())
    error = by_model[:, 2].std(ddof=1) / PROBLEMS**0.5
    assert first.mean.stderr == pytest.approx(error, rel=0.05)
    wins = [(by_model[:, 2] > by_model[:, other]).mean() for other in (0, 1)]
    assert first.win_rate is not None
    assert first.win_rate.value == pytest.approx(np.mean(wins))
    assert ranking.pairs[0].told_apart
    assert not ranking.pairs[-1].told_apart


def test_ties_count_as_half_a_win() -> None:
    scores = np.array([1.0, 1.0, 2.0, 1.0] * 10)
    ranking = rank_models(scores, ["a", "b"] * 20, np.repeat(np.arange(20), 2))
    [pair] = ranking.pairs
    assert (pair.wins, pair.ties) == (0.5, 0.5)
    assert [each.win_rate.value for each in ranking.models if each.win_rate] == [0.75, 0.25]


def test_holms_correction_by_hand() -> None:
    pairs = [ModelPair(str(p), "x", 1, p_value=p) for p in (0.01, 0.04, 0.03, 0.005)]
    corrected = [each.adjusted for each in _corrected_by_holm(pairs)]
    assert corrected == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_under_the_null_few_pairs_are_told_apart() -> None:
    wrong = sum(
        any(
            pair.told_apart
            for pair in rank_models(*scores_of(0, 0, 0, 0, seed=seed), resamples=1000).pairs
        )
        for seed in range(60)
    )
    assert wrong <= 8  # 5% of the rankings, and what chance adds to that


def test_the_problems_needed_by_hand() -> None:
    differences = np.tile([1.1, -0.9], 50)  # mean 0.1, standard deviation about 1
    scores = np.column_stack([differences, np.zeros(100)]).ravel()
    ranking = rank_models(scores, ["a", "b"] * 100, np.repeat(np.arange(100), 2))
    [pair] = ranking.pairs
    expected = ((norm.ppf(0.975) + norm.ppf(0.8)) * differences.std(ddof=1) / 0.1) ** 2
    assert pair.problems_needed == pytest.approx(expected, abs=1)
    said = verdict(ranking)
    assert "does not tell a and b apart" in said
    assert f"about {pair.problems_needed:,} problems would" in said


def test_several_pairs_are_listed_in_one_sentence() -> None:
    said = verdict(rank_models(*scores_of(3.0, *[0.0] * 5, seed=2)))
    assert said.startswith("m0 is the best. Not told apart (and how many problems would do it): m")
    assert len(re.findall(r"m\d and m\d \(about [\d,]+\); ", said)) == 3
    assert said.endswith("; 7 more pairs.")


def test_that_no_models_are_told_apart_is_said_once() -> None:
    ranking = rank_models(*scores_of(0.0, 0.0, 0.0, seed=2))
    nearest = min(ranking.pairs, key=lambda pair: pair.problems_needed or 0)
    assert verdict(ranking) == (
        "The sample tells none of the 3 models apart. Nearest to it are "
        f"{nearest.better} and {nearest.worse}: about {nearest.problems_needed:,} problems would, "
        f"in place of {nearest.problems}."
    )


def test_only_problems_that_both_answered_are_compared() -> None:
    # On what both answered b is better, though its mean over all it answered is lower.
    scores = [*[4.0, 5.0] * 15, *[1.0] * 30, *[3.0] * 15]
    models = ["a", "b"] * 15 + ["b"] * 30 + ["a"] * 15
    problems = np.array([*np.repeat(np.arange(15), 2), *range(20, 50), *range(60, 75)])
    ranking = rank_models(np.array(scores), models, problems)
    assert [each.model for each in ranking.models] == ["a", "b"]
    [pair] = ranking.pairs
    assert (pair.better, pair.problems) == ("b", 15)
    assert pair.reason == "the difference is the same on every problem"


def test_models_without_a_problem_in_common_are_not_compared() -> None:
    ranking = rank_models(np.arange(40.0), ["a"] * 20 + ["b"] * 20, np.arange(40))
    assert ranking.pairs[0].reason == "they have no problem in common"
    assert ranking.models[0].win_rate is None
    assert ranking.models[0].mean.low is not None


def test_few_problems_and_equal_scores_say_so() -> None:
    few = rank_models(np.arange(8.0), ["a", "b"] * 4, np.repeat(np.arange(4), 2))
    assert few.reason == "4 problems; intervals and tests take 10"
    assert few.models[0].mean.low is None
    assert "Nothing can be told apart" in verdict(few)
    equal = rank_models(np.full(40, 3.0), ["a", "b"] * 20, np.repeat(np.arange(20), 2))
    assert equal.pairs[0].adjusted == 1.0
    assert "their means are the same" in verdict(equal)
    with pytest.raises(ValueError, match="two models"):
        rank_models(np.ones(3), ["a"] * 3, np.arange(3))


def test_the_rank_correlation_is_scipys() -> None:
    scores, models, problems = scores_of(0.0, 0.3, 0.1, 0.5, 0.2)
    reference = scores_of(0.1, 0.3, 0.0, 0.2, 0.5, seed=9)[0]
    reference[::7] = np.nan
    found = rank_agreement(scores, reference, models, problems, resamples=200)
    both = ~np.isnan(reference)
    names = np.array(models)
    ours, theirs = (
        [values[both & (names == f"m{i}")].mean() for i in range(5)]
        for values in (scores, reference)
    )
    assert found.spearman is not None
    assert found.kendall is not None
    assert found.spearman.value == pytest.approx(spearmanr(ours, theirs).statistic)
    assert found.kendall.value == pytest.approx(kendalltau(ours, theirs).statistic)
    assert found.same_order == pytest.approx((found.kendall.value + 1) / 2)
    assert found.spearman.low is not None
    assert found.spearman.low <= found.spearman.value


def test_a_rank_correlation_of_two_models_or_of_equal_means_is_not_defined() -> None:
    scores, models, problems = scores_of(0.0, 1.0)
    two = rank_agreement(scores, scores, models, problems)
    assert two.spearman is None
    assert two.same_order == 1
    assert two.reason == "two models: they are in the same order or they are not"
    scores, models, problems = scores_of(0.0, 1.0, 2.0)
    equal = rank_agreement(scores, np.ones(len(scores)), models, problems)
    assert equal.spearman is None
    assert equal.reason == "all means are the same"
    nothing = rank_agreement(scores, np.full(len(scores), np.nan), models, problems)
    assert nothing.reason == "no model has rows that both judge and reference scored"


def test_of_many_pairs_only_neighbours_are_listed() -> None:
    scores, models, problems = scores_of(*np.arange(10) / 5)
    ranking = rank_models(scores, models, problems, resamples=500)
    assert len(ranking.pairs) == 45
    assert len(ranking_section("x", ranking, None, None).tables[1].rows) == 9


def test_that_models_answered_other_problems_is_said() -> None:
    scores, models, problems = scores_of(0.0, 0.5, seed=1)
    section = ranking_section("t", rank_models(scores, models, problems), None, None)
    assert "not every model" not in str(section)
    section = ranking_section("t", rank_models(scores[1:], models[1:], problems[1:]), None, None)
    assert f"not every model has answered all {PROBLEMS:,} problems" in str(section)
