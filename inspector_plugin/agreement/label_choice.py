"""Rows chosen for labels with unequal chances, and the weights that undo these.

Rows are chosen more often where the judge is likely to be far off, and stand for the inverse of
their chances, so that estimates stay unbiased (Zrnic & Candès, arXiv 2403.03208).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# So much of the choice is left to equal chances, so that no row stands for more than twice as many
# as it would then, however wrong the pilot was.
EQUAL_SHARE = 0.5


def chances_of(sizes: Floats, labels: int, equal_share: float = EQUAL_SHARE) -> Floats:
    """The chance of each row to be chosen: in proportion to its error, mixed with equal chances.

    Args:
        sizes: The error to expect of each row, above 0, [rows].
        labels: How many rows are chosen, at most all.
        equal_share: Share of the choice that goes by equal chances, in (0, 1].

    Returns:
        Chances in (0, 1] that sum to `labels`, [rows].
    """
    rows = len(sizes)
    if labels >= rows:
        return np.ones(rows)
    wanted = equal_share + (1 - equal_share) * sizes / sizes.mean()
    certain = np.zeros(rows, dtype=np.bool_)
    while True:
        left = labels - int(certain.sum())
        chances = np.where(certain, 1.0, wanted * (left / wanted[~certain].sum()))
        above = chances > 1
        if not above.any():
            return chances
        certain |= above


def choose(chances: Floats, seed: int, strata: NDArray[np.intp] | None = None) -> NDArray[np.intp]:
    """Choose rows with given chances: systematic sampling of the rows in a random order.

    Args:
        chances: The chance of each row; they sum to a whole number, [rows].
        seed: Seed of the order and of where the sampling begins.
        strata: The number of each row's stratum, of which each gets its share of the choice, to
            within one row; none if None, [rows].

    Returns:
        The rows chosen, ascending: as many as the chances sum to.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(chances))
    if strata is not None:
        order = order[np.argsort(strata[order], kind="stable")]
    total = round(float(chances.sum()))
    if not total:
        return np.empty(0, dtype=np.intp)
    passed = np.cumsum(chances[order])
    passed *= total / passed[-1]
    ticks = random.random() + np.arange(total)
    return np.sort(order[np.searchsorted(passed, ticks, side="right")])


@dataclass(frozen=True)
class PlannedWeights:
    """What a plan has written into the rows it chose, [rows]; NaN where it wrote nothing.

    Attributes:
        stages: The number of the plan, from 1: a plan may have an earlier one as its pilot.
        weights: How many rows the row stands for.
        pilot_shares: The part of the estimate that the labels before the plan have.
    """

    stages: Floats
    weights: Floats
    pilot_shares: Floats


def combined_weights(labelled: NDArray[np.bool_], planned: PlannedWeights) -> Floats:
    """The weights of rows that were labelled before plans, and by them, taken together.

    The labels before a plan estimate the mean without bias, and so do these rows as they are
    together with the plan's for all others; the sum of both, each with its share, does as well.

    Args:
        labelled: Which rows have a label, [rows].
        planned: What the plans wrote.

    Returns:
        The weights; NaN where there is no label, [rows].
    """
    rows = len(labelled)
    by_plan = labelled & ~np.isnan(planned.stages)
    pilot = labelled & ~by_plan
    weights = np.full(rows, np.nan)
    weights[pilot] = rows / max(int(pilot.sum()), 1)
    for stage in np.unique(planned.stages[by_plan]):
        of_stage = by_plan & (planned.stages == stage)
        share = float(planned.pilot_shares[of_stage][0])
        weights = share * weights + (1 - share)
        weights[of_stage] = planned.weights[of_stage]
    return weights
