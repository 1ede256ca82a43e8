"""Curves of a report: confidence against agreement, coverage against agreement, score by length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.data.score_table import ScoreColumn
from inspector_plugin.errors import count_of

Floats = NDArray[np.float64]
# The normal distribution's quantile for 95% intervals.
_Z = 1.959964
_BINS = 10
_LEAST_IN_BIN = 5


@dataclass(frozen=True)
class Reliability:
    """How often a judge is right by how sure it is.

    Attributes:
        n: Responses with a confidence that both have scored.
        confidence: Mean probability of the label that the judge chose, in each bin, [bins].
        agreement: Share of these labels that are the reference's, [bins].
        low, high: Ends of the 95% Wilson interval of that share, [bins].
        mean_confidence: Over all.
        mean_agreement: Over all.
        error: Expected calibration error: mean absolute gap over ten bins of equal width, weighted
            by their sizes.
    """

    n: int
    confidence: Floats
    agreement: Floats
    low: Floats
    high: Floats
    mean_confidence: float
    mean_agreement: float
    error: float


def reliability(judge: ScoreColumn, reference: ScoreColumn) -> Reliability | str:
    """Hold a judge's confidence against its agreement with a reference.

    Returns:
        The curve, of bins with five responses or more; or why there is none.
    """
    if judge.scale != reference.scale:
        return f"the scales differ ({judge.scale.name} and {reference.scale.name})"
    both = judge.scored & reference.scored & ~np.isnan(judge.confidence)
    if not np.any(~np.isnan(judge.confidence)):
        return "the judge gives no probabilities"
    n = int(both.sum())
    if n < _LEAST_IN_BIN:
        return f"both have scored {count_of(n, 'response')} only"
    confidence = judge.confidence[both]
    right = (judge.labels[both] == reference.labels[both]).astype(np.float64)
    bins = np.minimum((confidence * _BINS).astype(np.intp), _BINS - 1)
    sizes = np.bincount(bins, minlength=_BINS)
    means = np.bincount(bins, confidence, _BINS) / np.maximum(sizes, 1)
    rights = np.bincount(bins, right, _BINS) / np.maximum(sizes, 1)
    kept = sizes >= _LEAST_IN_BIN
    low, high = _wilson(rights[kept], sizes[kept])
    return Reliability(
        n,
        means[kept],
        rights[kept],
        low,
        high,
        float(confidence.mean()),
        float(right.mean()),
        float(np.sum(np.abs(means - rights) * sizes) / n),
    )


def coverage_curve(judge: ScoreColumn, reference: ScoreColumn) -> tuple[Floats, Floats] | None:
    """Say how the agreement changes when only the surest judgements are kept.

    Returns:
        Shares of the responses that the reference scored and the judge was asked for, and the
        share of equal labels among so many of the judge's surest scores, in steps of a
        twentieth, up to the judge's coverage. None where there are too few, or no probabilities.
    """
    if judge.scale != reference.scale:
        return None
    asked = judge.asked & reference.scored
    usable = asked & judge.scored & ~np.isnan(judge.confidence)
    n = int(usable.sum())
    if n < 4 * _LEAST_IN_BIN:
        return None
    rows = np.flatnonzero(usable)
    surest = rows[np.argsort(-judge.confidence[rows], kind="stable")]
    right = np.cumsum(judge.labels[surest] == reference.labels[surest]) / np.arange(1, n + 1)
    steps = np.unique(np.ceil(np.linspace(max(0.05, _LEAST_IN_BIN / n), 1, 20) * n)).astype(int)
    return steps / int(asked.sum()), right[steps - 1]


def by_length(
    column: ScoreColumn, lengths: NDArray[np.int64]
) -> tuple[Floats, Floats, Floats, Floats] | None:
    """Average scores over responses of similar length.

    Returns:
        Of up to ten groups of equal size the median length, the mean score and the ends of its 95%
        interval (each response counted by itself); None where fewer than ten are scored.
    """
    rows = np.flatnonzero(column.scored & (lengths > 0))
    if len(rows) < _BINS:
        return None
    rows = rows[np.argsort(lengths[rows], kind="stable")]
    groups = np.array_split(rows, max(2, min(_BINS, len(rows) // _LEAST_IN_BIN)))
    middle = np.array([np.median(lengths[group]) for group in groups])
    mean = np.array([column.scores[group].mean() for group in groups])
    spread = np.array([column.scores[group].std(ddof=1) / np.sqrt(len(group)) for group in groups])
    return middle, mean, mean - _Z * spread, mean + _Z * spread


def clustered_mean(values: Floats, clusters: NDArray[np.intp]) -> Estimate | None:
    """Average values; the interval holds where values of one cluster are alike.

    The standard error is the cluster-robust one of a mean (Liang and Zeger 1986), with the
    correction for a finite number of clusters.

    Args:
        values: The values, NaN where there is none, [rows].
        clusters: The number of each row's cluster, [rows].

    Returns:
        None if there are no values; no interval if there is one cluster only.
    """
    there = ~np.isnan(values)
    n = int(there.sum())
    if not n:
        return None
    mean = float(values[there].mean())
    _, codes = np.unique(clusters[there], return_inverse=True)
    sums = np.bincount(codes, values[there] - mean)
    count = len(sums)
    if count < 2:
        return Estimate(mean)
    error = float(np.sqrt(count / (count - 1) * np.sum(sums**2)) / n)
    return Estimate(mean, mean - _Z * error, mean + _Z * error, error)


def _wilson(shares: Floats, counts: NDArray[np.intp]) -> tuple[Floats, Floats]:
    centre = (shares + _Z**2 / (2 * counts)) / (1 + _Z**2 / counts)
    half = (
        _Z
        * np.sqrt(shares * (1 - shares) / counts + _Z**2 / (4 * counts**2))
        / (1 + _Z**2 / counts)
    )
    return centre - half, centre + half
