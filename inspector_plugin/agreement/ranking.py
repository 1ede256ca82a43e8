"""Which of several models is better by the scores of one judge, and whether the sample can tell.

All figures of a ranking come from the same resamples, which draw whole problems: models that answer
the same problems are compared on each of them, as in a paired test.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from inspector_plugin.agreement.bootstrap import CONFIDENCE, Estimate, estimate, resampled
from inspector_plugin.agreement.model_sums import ModelSums, added_up
from inspector_plugin.errors import count_of

Floats = NDArray[np.float64]

# With fewer problems than these, resamples of problems say too little of how far figures vary.
FEWEST_PROBLEMS = 10
RESAMPLES = 10_000
_FEWEST_RESAMPLES = 1000
_MOST_DRAWS = 100_000_000
# The probability of telling two models apart that the number of problems is foretold for.
POWER = 0.8
_LEVEL = 1 - CONFIDENCE


@dataclass(frozen=True)
class ModelScores:
    """The figures of one model.

    Attributes:
        model: Its name.
        mean: Mean of its scores.
        win_rate: How often it beats another model on a problem, ties counted as half: the mean over
            the other models that it shares problems with; None where there is none.
        rows: Number of its rows that have a score.
        problems: Number of its problems.
        best_rank: Its rank if all comparisons that are open went its way.
        worst_rank: Its rank if they all went against it.
    """

    model: str
    mean: Estimate
    win_rate: Estimate | None
    rows: int
    problems: int
    best_rank: int = 1
    worst_rank: int = 1


@dataclass(frozen=True)
class ModelPair:
    """Two models compared on the problems that both have answered.

    Attributes:
        better: The one with the higher mean on these problems.
        worse: The other.
        problems: How many these are.
        difference: Mean difference over problems, better minus worse; None without such problems.
        wins: Share of the problems on which `better` scores higher.
        ties: Share of the problems on which they score the same.
        p_value: Of the bootstrap test that the difference is 0; None without a test.
        adjusted: The same after Holm's correction for all pairs.
        problems_needed: How many problems would tell them apart with a probability of 80%, if the
            difference is what it seems; None where it is 0 or nothing is known of it.
        reason: Why there is no test.
    """

    better: str
    worse: str
    problems: int
    difference: Estimate | None = None
    wins: float | None = None
    ties: float | None = None
    p_value: float | None = None
    adjusted: float | None = None
    problems_needed: int | None = None
    reason: str | None = None

    @property
    def told_apart(self) -> bool:
        """Whether the corrected test says that they differ, at 5%."""
        return self.adjusted is not None and self.adjusted <= _LEVEL + 1e-12


@dataclass(frozen=True)
class Ranking:
    """Models in order of their means, the highest first.

    Attributes:
        models: Their figures.
        pairs: Every pair of them, in the same order.
        problems: Number of problems of all models together.
        reason: Why there are no intervals and tests.
    """

    models: tuple[ModelScores, ...]
    pairs: tuple[ModelPair, ...]
    problems: int
    reason: str | None = None


def rank_models(
    scores: Floats,
    models: Sequence[str],
    problems: NDArray[np.intp],
    *,
    seed: int = 0,
    resamples: int | None = None,
) -> Ranking:
    """Rank models by their mean scores.

    Intervals are 95% percentile intervals. A pair is tested by how often the difference in a
    resample is at least as far from the difference found as that is from 0; Holm's method corrects
    for the number of pairs (Holm 1979). Problems needed are those of a z test at 5% divided by the
    number of pairs.

    Args:
        scores: The scores, none missing, [rows].
        models: The model of each row.
        problems: The number of each row's problem, [rows].
        seed: Seed of the bootstrap.
        resamples: Number of resamples; if None, 10,000, or as many as the
            numbers of pairs and problems ask for.

    Raises:
        ValueError: If there are not two models or more.
    """
    names, model_codes = np.unique(np.array(models, dtype=object).astype(str), return_inverse=True)
    if len(names) < 2:
        raise ValueError("a ranking needs two models or more")
    sums = added_up(scores, model_codes, problems, len(names))
    means = sums.scores.sum(axis=0) / sums.counts.sum(axis=0)
    order = np.argsort(-means, kind="stable")
    names, means = names[order], means[order]
    sums = ModelSums(sums.scores[:, order], sums.counts[:, order])
    count = len(sums.scores)
    reason = None
    if count < FEWEST_PROBLEMS:
        reason = f"{count_of(count, 'problem')}; intervals and tests take {FEWEST_PROBLEMS}"
    drawn = _Draws(sums, means, 0 if reason else resamples or _enough(len(names), count), seed)
    pairs = _corrected_by_holm(
        [drawn.pair(*pair, names.tolist()) for pair in combinations(range(len(names)), 2)]
    )
    figures = [
        ModelScores(
            str(name),
            drawn.mean(index),
            drawn.win_rate(index),
            int(sums.counts[:, index].sum()),
            int((sums.counts[:, index] > 0).sum()),
            1 + sum(each.told_apart and each.worse == name for each in pairs),
            len(names) - sum(each.told_apart and each.better == name for each in pairs),
        )
        for index, name in enumerate(names)
    ]
    return Ranking(tuple(figures), tuple(pairs), count, reason)


def _enough(models: int, problems: int) -> int:
    """How many resamples: fewer of many problems, more for Holm's correction of many pairs."""
    affordable = max(_FEWEST_RESAMPLES, _MOST_DRAWS // problems)
    return max(min(RESAMPLES, affordable), 200 * math.comb(models, 2))


class _Draws:
    """What resamples of the problems make of the means, the differences and the win rates."""

    def __init__(self, sums: ModelSums, means: Floats, resamples: int, seed: int) -> None:
        self._sums, self._means = sums, means
        models = len(means)
        self._pairs = {pair: i for i, pair in enumerate(combinations(range(models), 2))}
        by_problem = sums.means
        first, second = (list(side) for side in zip(*self._pairs, strict=True))
        # [problems, pairs]; NaN where one of the two did not answer the problem.
        self._differences = by_problem[:, first] - by_problem[:, second]
        self._shared = ~np.isnan(self._differences)
        differences = np.where(self._shared, self._differences, 0.0)
        wins = np.where(self._shared, (np.sign(differences) + 1) / 2, 0.0)
        shared = self._shared.astype(np.float64)

        def statistics(times: Floats) -> Floats:
            drawn = times.T
            with np.errstate(invalid="ignore", divide="ignore"):
                together = drawn @ shared
                return np.hstack(
                    [
                        drawn @ sums.scores / (drawn @ sums.counts),
                        drawn @ differences / together,
                        drawn @ wins / together,
                    ]
                )

        count = len(self._pairs)
        drawn = resampled(statistics, len(sums.scores), models + 2 * count, seed, resamples)
        drawn = drawn.reshape(-1, models + 2 * count)
        self._drawn_means = drawn[:, :models]
        self._drawn_differences = drawn[:, models : models + count]
        self._drawn_wins = drawn[:, models + count :]
        with np.errstate(invalid="ignore"):
            self._wins = wins.sum(axis=0) / shared.sum(axis=0)

    def mean(self, model: int) -> Estimate:
        found = estimate(float(self._means[model]), self._drawn_means[:, model])
        assert found is not None  # a model has rows
        return found

    def win_rate(self, model: int) -> Estimate | None:
        columns = [
            (index, model == pair[1])
            for pair, index in self._pairs.items()
            if model in pair and self._shared[:, index].any()
        ]
        if not columns:
            return None
        value = np.mean([1 - self._wins[i] if turned else self._wins[i] for i, turned in columns])
        drawn = [
            1 - self._drawn_wins[:, i] if turned else self._drawn_wins[:, i]
            for i, turned in columns
        ]
        return estimate(float(value), np.mean(drawn, axis=0))

    def pair(self, one: int, other: int, names: Sequence[str]) -> ModelPair:
        index = self._pairs[one, other]
        differences = self._differences[self._shared[:, index], index]
        problems = len(differences)
        if not problems:
            reason = "they have no problem in common"
            return ModelPair(str(names[one]), str(names[other]), 0, reason=reason)
        value = float(differences.mean())
        turned = value < 0  # on the problems they share the order may be another
        sign = -1.0 if turned else 1.0
        drawn = sign * self._drawn_differences[:, index]
        better, worse = (other, one) if turned else (one, other)
        found = ModelPair(
            str(names[better]),
            str(names[worse]),
            problems,
            Estimate(sign * value),
            float((sign * differences > 0).mean()),
            float((differences == 0).mean()),
        )
        if problems < FEWEST_PROBLEMS:
            return replace(
                found,
                reason=f"{count_of(problems, 'problem')} in common; a test takes {FEWEST_PROBLEMS}",
            )
        if (differences == differences[0]).all() and value:
            return replace(found, reason="the difference is the same on every problem")
        drawn = drawn[~np.isnan(drawn)]
        away = np.abs(drawn - sign * value) >= abs(value) - 1e-12
        return replace(
            found,
            difference=estimate(sign * value, drawn),
            p_value=float((1 + away.sum()) / (1 + len(drawn))),
            problems_needed=_problems_needed(differences, len(self._pairs)),
        )


def _problems_needed(differences: Floats, pairs: int) -> int | None:
    value = abs(float(differences.mean()))
    if value < 1e-12:
        return None
    quantiles = float(norm.ppf(1 - _LEVEL / pairs / 2) + norm.ppf(POWER))
    needed = (quantiles * float(differences.std(ddof=1)) / value) ** 2
    return max(FEWEST_PROBLEMS, math.ceil(needed))


def _corrected_by_holm(pairs: Sequence[ModelPair]) -> list[ModelPair]:
    """Add Holm's adjusted p-values: each times the number of those left, never below the last."""
    tested = sorted(
        (each.p_value, index) for index, each in enumerate(pairs) if each.p_value is not None
    )
    corrected, last = list(pairs), 0.0
    for place, (p_value, index) in enumerate(tested):
        last = max(last, min(1.0, p_value * (len(tested) - place)))
        corrected[index] = replace(pairs[index], adjusted=last)
    return corrected
