"""How far a judge ranks models as a reference does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, rankdata

from inspector_plugin.agreement.bootstrap import Estimate, estimate, resampled
from inspector_plugin.agreement.model_sums import added_up
from inspector_plugin.agreement.ranking import FEWEST_PROBLEMS
from inspector_plugin.errors import count_of

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RankAgreement:
    """How far a ranking is the reference's.

    Attributes:
        models: How many models both have scores for.
        spearman: Rank correlation of the models' means; None where it is not defined.
        kendall: Kendall's tau-b of these; None where it is not defined.
        same_order: Share of the pairs of models that both put in the same order.
        rows: Number of rows that both have scored.
        reason: Why there is no correlation, or no interval.
    """

    models: int
    spearman: Estimate | None = None
    kendall: Estimate | None = None
    same_order: float | None = None
    rows: int = 0
    reason: str | None = None


def rank_agreement(
    scores: Floats,
    reference: Floats,
    models: Sequence[str],
    problems: NDArray[np.intp],
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> RankAgreement:
    """Compare a judge's ranking of models with the reference's, on the rows that both scored.

    Args:
        scores: The judge's scores, NaN where there is none, [rows].
        reference: The reference's, on any scale, [rows].
        models: The model of each row.
        problems: The number of each row's problem, [rows].
        seed: Seed of the bootstrap.
        resamples: Number of resamples.
    """
    both = ~np.isnan(scores) & ~np.isnan(reference)
    chosen = np.array(models, dtype=object).astype(str)[both]
    names, codes = np.unique(chosen, return_inverse=True)
    rows = int(both.sum())
    if len(names) < 2:
        listed = "no model" if not len(names) else f"only {names[0]}"
        return RankAgreement(
            len(names), rows=rows, reason=f"{listed} has rows that both judge and reference scored"
        )
    ours = added_up(scores[both], codes, problems[both], len(names))
    theirs = added_up(reference[both], codes, problems[both], len(names))
    our_means, their_means = (
        each.scores.sum(axis=0) / each.counts.sum(axis=0) for each in (ours, theirs)
    )
    pairs = list(combinations(range(len(names)), 2))
    same = sum(
        np.sign(our_means[one] - our_means[other]) == np.sign(their_means[one] - their_means[other])
        for one, other in pairs
    )
    found = RankAgreement(len(names), same_order=float(same / len(pairs)), rows=rows)
    if len(names) < 3:
        return replace(found, reason="two models: they are in the same order or they are not")
    problems_count = len(ours.scores)
    few = problems_count < FEWEST_PROBLEMS

    def correlations(times: Floats) -> Floats:
        counts = times.T @ ours.counts
        with np.errstate(invalid="ignore"):
            drawn = (times.T @ ours.scores / counts, times.T @ theirs.scores / counts)
        return np.array([_correlations(*pair) for pair in zip(*drawn, strict=True)])

    cells = 4 * len(names)
    draws = resampled(correlations, problems_count, cells, seed, 0 if few else resamples)
    draws = draws.reshape(-1, 2)
    values = _correlations(our_means, their_means)
    reason = None
    if few:
        reason = f"{count_of(problems_count, 'problem')}; intervals take {FEWEST_PROBLEMS}"
    if math.isnan(values[0]):
        reason = "all means are the same"
    return replace(
        found,
        spearman=estimate(values[0], draws[:, 0]),
        kendall=estimate(values[1], draws[:, 1]),
        reason=reason,
    )


def _correlations(ours: Floats, theirs: Floats) -> tuple[float, float]:
    if np.isnan(ours).any() or np.isnan(theirs).any():
        return math.nan, math.nan
    if (ours == ours[0]).all() or (theirs == theirs[0]).all():
        return math.nan, math.nan
    spearman = float(np.corrcoef(rankdata(ours), rankdata(theirs))[0, 1])
    return spearman, float(kendalltau(ours, theirs).statistic)
