"""The statistics of agreement, in plain numpy.

Each is needed a thousand times over for a bootstrap interval, which is why they are computed here;
the tests hold them to scikit-learn and scipy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, rankdata

from inspector_plugin.schema.criteria import Scale

STATISTICS = ("macro_f1", "accuracy", "quadratic_kappa", "spearman", "somers_d")


@dataclass(frozen=True)
class Pairs:
    """Joined pairs as arrays of shape [n]; labels are positions on the scale.

    Attributes:
        judge_labels: Of the judge.
        reference_labels: Of the reference.
        judge_scores: Of the judge.
        reference_scores: Of the reference.
        scale: The scale of the labels.
    """

    judge_labels: NDArray[np.intp]
    reference_labels: NDArray[np.intp]
    judge_scores: NDArray[np.float64]
    reference_scores: NDArray[np.float64]
    scale: Scale

    def take(self, rows: NDArray[np.intp]) -> Pairs:
        """Return the pairs of some rows."""
        return Pairs(
            self.judge_labels[rows],
            self.reference_labels[rows],
            self.judge_scores[rows],
            self.reference_scores[rows],
            self.scale,
        )


def statistics_of(pairs: Pairs) -> tuple[float, ...]:
    """Compute the values of `STATISTICS`, NaN for those that are not defined."""
    size = len(pairs.scale.labels)
    cells = pairs.reference_labels * size + pairs.judge_labels
    # [reference label, judge label]
    confusion = np.bincount(cells, minlength=size * size).reshape(size, size).astype(np.float64)
    return (
        _macro_f1(confusion),
        float(np.trace(confusion) / confusion.sum()),
        _quadratic_kappa(confusion, np.array(pairs.scale.labels, dtype=np.float64)),
        _spearman(pairs.judge_scores, pairs.reference_scores),
        _somers_d(pairs.judge_scores, pairs.reference_scores),
    )


def _macro_f1(confusion: NDArray[np.float64]) -> float:
    occurrences = confusion.sum(axis=0) + confusion.sum(axis=1)
    present = occurrences > 0
    return float(np.mean(2 * np.diag(confusion)[present] / occurrences[present]))


def _quadratic_kappa(confusion: NDArray[np.float64], labels: NDArray[np.float64]) -> float:
    weights = np.subtract.outer(labels, labels) ** 2
    expected = np.outer(confusion.sum(axis=1), confusion.sum(axis=0)) / confusion.sum()
    by_chance = float((weights * expected).sum())
    return 1 - float((weights * confusion).sum()) / by_chance if by_chance else math.nan


def _spearman(judge: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    if _constant(judge) or _constant(reference):
        return math.nan
    return float(np.corrcoef(rankdata(judge), rankdata(reference))[0, 1])


def _somers_d(judge: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    if _constant(reference):
        return math.nan
    if _constant(judge):
        return 0.0
    # tau_b = S / sqrt(J R) and D = S / R, where S is concordant minus discordant, and J and R
    # count the pairs of responses that the judge and the reference tell apart.
    tau = float(kendalltau(judge, reference).statistic)
    return tau * math.sqrt(_told_apart(judge) / _told_apart(reference))


def _told_apart(scores: NDArray[np.float64]) -> float:
    _, counts = np.unique(scores, return_counts=True)
    return float(len(scores) ** 2 - (counts.astype(np.float64) ** 2).sum()) / 2


def _constant(scores: NDArray[np.float64]) -> bool:
    return bool((scores == scores[0]).all())
