"""How far two judges agree, with intervals that respect that one problem has many scores."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.agreement.bootstrap import Estimate, estimate, resampled
from inspector_plugin.agreement.statistics import STATISTICS, PairCounts, Pairs
from inspector_plugin.schema.criteria import BINARY, MULTICLASS, Scale, common_scale
from inspector_plugin.schema.records import CriterionScore, Judgement
from inspector_plugin.schema.roscoe import in_table_order

OVERALL = "overall"


@dataclass(frozen=True)
class Agreement:
    """How far a judge agrees with a reference.

    Attributes:
        n: Number of pairs that both have scored.
        statistics: For each name in `STATISTICS` its estimate; None if there are fewer than two
            pairs, or if the statistic is not defined on them (a correlation with scores that are
            all equal, or a kappa of judges that only ever give one and the same label).
        scale: The scale on which labels were compared; None if there are no pairs.
    """

    n: int
    statistics: Mapping[str, Estimate | None]
    scale: Scale | None = None


def agreement(
    judge_scores: Sequence[CriterionScore],
    reference_scores: Sequence[CriterionScore],
    clusters: Sequence[Hashable],
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> Agreement:
    """Compare the scores of a judge with those of a reference.

    Only pairs that both have scored count, and of these only scores on the same criterion. Macro F1
    is the mean F1 over the labels that occur on either side; kappa weighs a disagreement by the
    squared distance of the labels; Somers' D is that of the judge given the reference: among pairs
    of responses that the reference tells apart, concordant minus discordant.

    Where the scores are not all on one scale, labels are compared as low or high quality, where
    high means a score above the middle of its scale. Rank statistics compare the scores, as shares
    of their scale.

    The interval is the 95% percentile interval of a bootstrap that draws whole clusters. Resamples
    in which a statistic is not defined are left out of it; if that is more than half of them, or
    if there are fewer than two clusters, there is no interval.

    Args:
        judge_scores: The judge's scores.
        reference_scores: The reference's scores of the same responses, in the same order.
        clusters: What the responses have in common, such as their problem, in the same order.
        seed: Seed of the bootstrap.
        resamples: Number of resamples; 0 gives values without intervals.

    Raises:
        ValueError: If the three sequences differ in length.
    """
    joined = [
        (judge, reference, cluster)
        for judge, reference, cluster in zip(judge_scores, reference_scores, clusters, strict=True)
        if judge.score is not None
        and reference.score is not None
        and _on_one_criterion(judge, reference)
    ]
    if not joined:
        return Agreement(0, dict.fromkeys(STATISTICS))
    pairs = _make_pairs([(judge, reference) for judge, reference, _ in joined])
    if len(joined) < 2:
        return Agreement(len(joined), dict.fromkeys(STATISTICS), pairs.scale)
    codes = _cluster_codes([cluster for _, _, cluster in joined])
    estimates = estimates_of(pairs, codes, STATISTICS, seed=seed, resamples=resamples)
    return Agreement(len(joined), estimates, pairs.scale)


def estimates_of(
    pairs: Pairs,
    problems: NDArray[np.intp],
    names: Sequence[str],
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> dict[str, Estimate | None]:
    """Compute statistics of pairs with their intervals; see `agreement`.

    Args:
        pairs: The pairs, at least one.
        problems: The number of each pair's problem, from 0, [n].
        names: Which statistics, of `ALL_STATISTICS`.
        seed: Seed of the bootstrap.
        resamples: Number of resamples; 0 gives values without intervals.
    """
    counts = PairCounts(pairs, problems)
    values = counts.statistics(names)[0]
    drawn = resampled(
        lambda weights: counts.statistics(names, weights),
        counts.problems,
        counts.cells,
        seed,
        resamples,
    ).reshape(-1, len(names))
    return {name: estimate(float(values[i]), drawn[:, i]) for i, name in enumerate(names)}


def agreement_by_criterion(
    judged: Sequence[Judgement],
    reference: Sequence[Judgement],
    clusters: Sequence[Hashable],
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> dict[str, Agreement]:
    """Compare judgements criterion by criterion, and over all criteria together.

    Args:
        judged: The judge's judgements.
        reference: The reference's judgements of the same responses, in the same order.
        clusters: What the responses have in common, such as their problem, in the same order.
        seed: Seed of the bootstrap.
        resamples: Number of resamples.

    Returns:
        The agreement on each criterion that both sides were asked for, by key, and last on
        "overall": the scores of all criteria, one after the other.

    Raises:
        ValueError: If the three sequences differ in length.
    """
    groups: dict[str, list[tuple[CriterionScore, CriterionScore, Hashable]]] = {}
    for ours, theirs, cluster in zip(judged, reference, clusters, strict=True):
        for key, score in ours.scores.items():
            if key in theirs.scores:
                groups.setdefault(key, []).append((score, theirs.scores[key], cluster))
    groups = {key: groups[key] for key in in_table_order(groups)}
    groups[OVERALL] = list(chain.from_iterable(groups.values()))
    return {
        key: agreement(
            [ours for ours, _, _ in group],
            [theirs for _, theirs, _ in group],
            [cluster for _, _, cluster in group],
            seed=seed,
            resamples=resamples,
        )
        for key, group in groups.items()
    }


def _on_one_criterion(judge: CriterionScore, reference: CriterionScore) -> bool:
    """Whether both are on one criterion, as far as they say; files of version 1 do not say."""
    fingerprints = (judge.fingerprint, reference.fingerprint)
    return None in fingerprints or judge.fingerprint == reference.fingerprint


def _make_pairs(joined: Sequence[tuple[CriterionScore, CriterionScore]]) -> Pairs:
    judges = [judge for judge, _ in joined]
    references = [reference for _, reference in joined]
    scale = common_scale(map(_scale_of, chain(judges, references)))
    chosen = scale or BINARY
    return Pairs(
        np.searchsorted(chosen.labels, [_label(score, scale) for score in judges]),
        np.searchsorted(chosen.labels, [_label(score, scale) for score in references]),
        np.array([_share(score) for score in judges], dtype=np.float64),
        np.array([_share(score) for score in references], dtype=np.float64),
        chosen,
        None if scale is None else float(scale.maximum - scale.minimum),
    )


def _scale_of(score: CriterionScore) -> Scale:
    return score.scale or MULTICLASS


def _label(score: CriterionScore, common: Scale | None) -> int:
    """The label on the common scale; whether the score is high where there is none."""
    assert score.score is not None
    scale = _scale_of(score)
    if common is None:
        return int(scale.is_high(score.score))
    if score.label is not None and score.label not in scale.labels:
        raise ValueError(f"label {score.label!r} is not on the scale {scale.labels}")
    return scale.nearest(score.score) if score.label is None else score.label


def _share(score: CriterionScore) -> float:
    """The score as a share of its scale, in [0, 1]; equal scores on one scale stay equal."""
    assert score.score is not None
    scale = _scale_of(score)
    return (score.score - scale.minimum) / (scale.maximum - scale.minimum)


def _cluster_codes(clusters: Sequence[Hashable]) -> NDArray[np.intp]:
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(cluster, len(numbers)) for cluster in clusters])
