"""The statistics of agreement, for many resamples at once, in plain numpy.

Each is needed a thousand times over for a bootstrap interval, which is why they are computed here;
the tests hold them to scikit-learn, scipy and published examples. A resample is a weight for each
problem (how often it was drawn); the weights of problems become those of cells, the distinct
combinations of scores, and all statistics are sums over cells. One pass over the cells serves a
whole block of resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from inspector_plugin.agreement.labels import (
    accuracy,
    krippendorff_alpha,
    macro_f1,
    quadratic_kappa,
)
from inspector_plugin.agreement.ranks import RankTable
from inspector_plugin.schema.criteria import Scale

Floats = NDArray[np.float64]

# What every comparison with a reference reports, in lm_eval's results too.
STATISTICS = ("macro_f1", "accuracy", "quadratic_kappa", "spearman", "somers_d")
LABEL_STATISTICS = ("accuracy", "macro_f1", "quadratic_kappa", "krippendorff_alpha")
RANK_STATISTICS = ("spearman", "kendall_tau_b", "somers_d")
DIFFERENCE_STATISTICS = ("mean_difference", "lower_limit", "upper_limit")
ALL_STATISTICS = (*LABEL_STATISTICS, *RANK_STATISTICS, *DIFFERENCE_STATISTICS)
# Of normally distributed differences, 95% lie within so many standard deviations of their mean.
WITHIN_LIMITS = 1.96


@dataclass(frozen=True)
class Pairs:
    """Joined pairs as arrays of shape [n]; labels are positions on the scale.

    Attributes:
        judge_labels: Of the judge.
        reference_labels: Of the reference.
        judge_scores: Of the judge, as shares of the scale.
        reference_scores: Of the reference, as shares of the scale.
        scale: The scale of the labels.
        span: What a difference of shares is to be multiplied by for one in points; None where the
            two score on different scales, so that their differences mean nothing.
    """

    judge_labels: NDArray[np.intp]
    reference_labels: NDArray[np.intp]
    judge_scores: Floats
    reference_scores: Floats
    scale: Scale
    span: float | None = None

    def __len__(self) -> int:
        return len(self.judge_labels)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Pairs:
        """Return the pairs of some rows."""
        return replace(
            self,
            judge_labels=self.judge_labels[rows],
            reference_labels=self.reference_labels[rows],
            judge_scores=self.judge_scores[rows],
            reference_scores=self.reference_scores[rows],
        )


class PairCounts:
    """Pairs, counted by problem, for statistics of resamples of problems."""

    def __init__(self, pairs: Pairs, problems: NDArray[np.intp]) -> None:
        """Count.

        Args:
            pairs: The pairs, at least one.
            problems: The number of each pair's problem, from 0, [n].
        """
        self._pairs, self._problems = pairs, problems
        self._labels = np.array(pairs.scale.labels, dtype=np.float64)
        self.problems = int(problems.max()) + 1

    @property
    def cells(self) -> int:
        """How many numbers a resample is made of, for sizing blocks of resamples."""
        return self._ranks.cells + len(self._labels) ** 2

    def statistics(self, names: Sequence[str], weights: Floats | None = None) -> Floats:
        """Compute statistics of resamples.

        Args:
            names: Which, of `ALL_STATISTICS`.
            weights: How often each problem was drawn, [problems, resamples]; once each if None.

        Returns:
            NaN where a statistic is not defined, [resamples, names].
        """
        computing = _Resamples(self, weights)
        return np.column_stack([_COMPUTED[name](computing) for name in names])

    @cached_property
    def confusion_counts(self) -> csr_array:
        """How often each pair of labels occurs in each problem, [labels squared, problems]."""
        size = len(self._labels)
        cells = self._pairs.reference_labels * size + self._pairs.judge_labels
        return counted(cells, size * size, self._problems, self.problems)

    @cached_property
    def _ranks(self) -> RankTable:
        pairs = self._pairs
        return RankTable(pairs.judge_scores, pairs.reference_scores, self._problems, self.problems)

    @cached_property
    def difference_sums(self) -> Floats:
        """Number, sum and sum of squares of each problem's differences, [3, problems]."""
        difference = self._pairs.judge_scores - self._pairs.reference_scores
        powers = (np.ones_like(difference), difference, difference**2)
        return np.stack(
            [np.bincount(self._problems, power, minlength=self.problems) for power in powers]
        )


class _Resamples:
    """What the statistics of a block of resamples have in common, computed once."""

    def __init__(self, counts: PairCounts, weights: Floats | None) -> None:
        self._counts, self._are_drawn = counts, weights is not None
        self._weights = np.ones((counts.problems, 1)) if weights is None else weights
        self.labels = counts._labels
        self.span = counts._pairs.span

    @cached_property
    def confusion(self) -> Floats:
        """Counts of the labels, [resamples, reference label, judge label]."""
        size = len(self.labels)
        counts: Floats = self._counts.confusion_counts @ self._weights
        return counts.T.reshape(-1, size, size)

    @cached_property
    def spearman(self) -> Floats:
        return self._counts._ranks.spearman(self._weights)

    @cached_property
    def concordance(self) -> tuple[Floats, Floats]:
        """Kendall's tau-b, and Somers' D of the judge given the reference."""
        ranks = self._counts._ranks
        return ranks.concordance(self._weights) if self._are_drawn else ranks.concordance_once()

    @cached_property
    def differences(self) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the differences, in points."""
        if self.span is None:
            nothing = np.full(self._weights.shape[1], np.nan)
            return nothing, nothing
        count, total, squares = self._counts.difference_sums @ self._weights
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = total / count
            variance = np.maximum(squares - count * mean**2, 0.0) / (count - 1)
        return mean * self.span, np.sqrt(variance) * self.span


_COMPUTED: dict[str, Callable[[_Resamples], Floats]] = {
    "accuracy": lambda drawn: accuracy(drawn.confusion),
    "macro_f1": lambda drawn: macro_f1(drawn.confusion),
    "quadratic_kappa": lambda drawn: quadratic_kappa(drawn.confusion, drawn.labels),
    "krippendorff_alpha": lambda drawn: krippendorff_alpha(drawn.confusion),
    "spearman": lambda drawn: drawn.spearman,
    "kendall_tau_b": lambda drawn: drawn.concordance[0],
    "somers_d": lambda drawn: drawn.concordance[1],
    "mean_difference": lambda drawn: drawn.differences[0],
    "lower_limit": lambda drawn: drawn.differences[0] - WITHIN_LIMITS * drawn.differences[1],
    "upper_limit": lambda drawn: drawn.differences[0] + WITHIN_LIMITS * drawn.differences[1],
}


def counted(
    cells: NDArray[np.intp], count: int, problems: NDArray[np.intp], of_problems: int
) -> csr_array:
    """Count how often each cell occurs in each problem.

    Args:
        cells: The cell of each row, [n].
        count: How many cells there are.
        problems: The problem of each row, [n].
        of_problems: How many problems there are.

    Returns:
        Counts, [cells, problems].
    """
    ones = np.ones(len(cells))
    return csr_array((ones, (cells, problems)), shape=(count, of_problems))
