"""How far two judges agree, with intervals that respect that one question has many scores.

Labels are compared by macro F1, accuracy and quadratic-weighted kappa, scores by Spearman's rank
correlation and Somers' D. The statistics are computed here, in plain numpy, because each is needed
a thousand times over for a bootstrap interval; the tests hold them to scikit-learn and scipy.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, rankdata

from inspector_plugin.aspects import TABLE_ORDER
from inspector_plugin.schema import BINARY, AspectScore, Judgement, Scale

STATISTICS = ("macro_f1", "accuracy", "quadratic_kappa", "spearman", "somers_d")
OVERALL = "overall"
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A statistic with its 95% bootstrap interval.

    Attributes:
        value: The statistic over all pairs.
        low: Lower end of the interval; None where no interval can be given.
        high: Upper end of the interval; None where no interval can be given.
        stderr: Standard deviation over the resamples; None where no interval can be given.
    """

    value: float
    low: float | None = None
    high: float | None = None
    stderr: float | None = None


@dataclass(frozen=True)
class Agreement:
    """How far a judge agrees with a reference.

    Attributes:
        n: Number of pairs that both have scored.
        statistics: For each name in `STATISTICS` its estimate; None if there are fewer than two
            pairs, or if the statistic is not defined on them (a correlation with scores that are
            all equal, or a kappa of judges that only ever give one and the same label).
    """

    n: int
    statistics: Mapping[str, Estimate | None]


@dataclass(frozen=True)
class _Pairs:
    """The joined pairs as arrays of shape [n]; labels are positions on a scale of both sides."""

    judge_labels: NDArray[np.intp]
    reference_labels: NDArray[np.intp]
    judge_scores: NDArray[np.float64]
    reference_scores: NDArray[np.float64]
    scale: Scale

    def take(self, rows: NDArray[np.intp]) -> _Pairs:
        return _Pairs(
            self.judge_labels[rows],
            self.reference_labels[rows],
            self.judge_scores[rows],
            self.reference_scores[rows],
            self.scale,
        )


def agreement(
    judge_scores: Sequence[AspectScore],
    reference_scores: Sequence[AspectScore],
    clusters: Sequence[Hashable],
    *,
    judge_scale: Scale,
    reference_scale: Scale,
    seed: int = 0,
    resamples: int = 1000,
) -> Agreement:
    """Compare the scores of a judge with those of a reference.

    Only pairs that both have scored count. Macro F1 is the mean F1 over the labels that occur on
    either side; kappa weighs a disagreement by the squared distance of the labels; Somers' D is
    that of the judge given the reference: among pairs of responses that the reference tells apart,
    concordant minus discordant.

    If the two scales differ, the labels of both are made binary, where high means above the middle
    of the scale (above 3 on 1-5); the rank statistics compare the scores as they are.

    The interval is the 95% percentile interval of a bootstrap that draws whole clusters. Resamples
    in which a statistic is not defined are left out of it; if that is more than half of them, or
    if there are fewer than two clusters, there is no interval.

    Args:
        judge_scores: The judge's scores.
        reference_scores: The reference's scores of the same responses, in the same order.
        clusters: What the responses have in common, such as their question, in the same order.
        judge_scale: The scale of the judge.
        reference_scale: The scale of the reference.
        seed: Seed of the bootstrap.
        resamples: Number of resamples; 0 gives values without intervals.

    Raises:
        ValueError: If the three sequences differ in length.
    """
    joined = [
        (judge, reference, cluster)
        for judge, reference, cluster in zip(judge_scores, reference_scores, clusters, strict=True)
        if judge.score is not None and reference.score is not None
    ]
    if len(joined) < 2:
        return Agreement(len(joined), dict.fromkeys(STATISTICS))
    pairs = _make_pairs(joined, judge_scale, reference_scale)
    codes = _cluster_codes([cluster for _, _, cluster in joined])
    draws = [_statistics(pairs.take(rows)) for rows in _resample(codes, seed, resamples)]
    drawn = np.array(draws, dtype=np.float64).reshape(len(draws), len(STATISTICS))
    values = _statistics(pairs)
    return Agreement(
        len(joined),
        {
            name: _estimate(values[column], drawn[:, column])
            for column, name in enumerate(STATISTICS)
        },
    )


def agreement_by_aspect(
    judged: Sequence[Judgement],
    reference: Sequence[Judgement],
    clusters: Sequence[Hashable],
    *,
    judge_scale: Scale,
    reference_scale: Scale,
    seed: int = 0,
    resamples: int = 1000,
) -> dict[str, Agreement]:
    """Compare judgements aspect by aspect, and over all aspects together.

    Args:
        judged: The judge's judgements.
        reference: The reference's judgements of the same responses, in the same order.
        clusters: What the responses have in common, such as their question, in the same order.
        judge_scale: The scale of the judge.
        reference_scale: The scale of the reference.
        seed: Seed of the bootstrap.
        resamples: Number of resamples.

    Returns:
        The agreement on each aspect that both sides were asked for, in the order of `ASPECTS`,
        and last on "overall": the scores of all aspects, one after the other.

    Raises:
        ValueError: If the three sequences differ in length.
    """
    joined: dict[str, list[tuple[AspectScore, AspectScore, Hashable]]] = {}
    for ours, theirs, cluster in zip(judged, reference, clusters, strict=True):
        for key, score in ours.aspects.items():
            if key in theirs.aspects:
                joined.setdefault(key, []).append((score, theirs.aspects[key], cluster))
    groups = {key: joined[key] for key in TABLE_ORDER if key in joined}
    groups[OVERALL] = list(chain.from_iterable(groups.values()))
    return {
        key: agreement(
            [ours for ours, _, _ in group],
            [theirs for _, theirs, _ in group],
            [cluster for _, _, cluster in group],
            judge_scale=judge_scale,
            reference_scale=reference_scale,
            seed=seed,
            resamples=resamples,
        )
        for key, group in groups.items()
    }


def _make_pairs(
    joined: Sequence[tuple[AspectScore, AspectScore, Hashable]],
    judge_scale: Scale,
    reference_scale: Scale,
) -> _Pairs:
    same = judge_scale == reference_scale
    scale = judge_scale if same else BINARY
    judge_labels = [_label(judge, judge_scale, same) for judge, _, _ in joined]
    reference_labels = [_label(reference, reference_scale, same) for _, reference, _ in joined]
    return _Pairs(
        np.searchsorted(scale.labels, judge_labels),
        np.searchsorted(scale.labels, reference_labels),
        np.array([judge.score for judge, _, _ in joined], dtype=np.float64),
        np.array([reference.score for _, reference, _ in joined], dtype=np.float64),
        scale,
    )


def _label(score: AspectScore, scale: Scale, as_it_is: bool) -> int:
    if score.label not in scale.labels:
        raise ValueError(f"label {score.label!r} is not on the scale {scale.labels}")
    return score.label if as_it_is else int(score.label > scale.middle)


def _cluster_codes(clusters: Sequence[Hashable]) -> NDArray[np.intp]:
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(cluster, len(numbers)) for cluster in clusters])


def _resample(codes: NDArray[np.intp], seed: int, resamples: int) -> list[NDArray[np.intp]]:
    """Draw clusters with replacement; return the rows of each draw, none if one cluster is all."""
    clusters = int(codes.max()) + 1
    if clusters < 2:
        return []
    random = np.random.default_rng(seed)
    rows = np.arange(len(codes))
    times = random.multinomial(clusters, np.full(clusters, 1 / clusters), size=resamples)
    return [np.repeat(rows, drawn[codes]) for drawn in times]


def _estimate(value: float, drawn: NDArray[np.float64]) -> Estimate | None:
    if math.isnan(value):
        return None
    defined = drawn[~np.isnan(drawn)]
    if len(defined) < 2 or 2 * len(defined) < len(drawn):
        return Estimate(value)
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(defined, (tail, 1 - tail))
    return Estimate(value, float(low), float(high), float(defined.std(ddof=1)))


def _statistics(pairs: _Pairs) -> tuple[float, ...]:
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
