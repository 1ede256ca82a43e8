"""How many labels an interval of some width takes, and which rows to label.

Rows are chosen with unequal probabilities, more often where the judge is likely to be far off, and
stand for the inverse of these, so that estimates stay unbiased (Zrnic & Candès, arXiv 2403.03208).
How far off the judge is where it is unsure, and where its score is flagged, is fitted to a pilot.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.special import stdtrit

from inspector_plugin.agreement.bootstrap import CONFIDENCE
from inspector_plugin.agreement.corrected import (
    FEWEST_PROBLEMS,
    LabelledSample,
    corrected_mean,
)

Floats = NDArray[np.float64]

# So much of the choice is left to equal chances, so that no row stands for more than twice as many
# as it would then, however wrong the pilot was.
EQUAL_SHARE = 0.5
# Errors of a judge that is always right in the pilot are taken to be as small as this, not 0.
_SMALLEST = 1e-12


@dataclass(frozen=True)
class ErrorModel:
    """How far the reference lies from what the judge's scores make one expect.

    Attributes:
        sizes: The error to expect of each row, as a standard deviation, [rows].
        spread: Standard deviation of the reference over all rows.
        of_unsure: Part of the squared error that goes with the judge's doubt, 1 - confidence.
        of_flags: Part of the squared error that goes with flags.
    """

    sizes: Floats
    spread: float
    of_unsure: float
    of_flags: float


def error_model(
    sample: LabelledSample,
    unsure: Floats,
    flagged: NDArray[np.bool_],
    unsure_of_all: Floats | None = None,
    flagged_of_all: NDArray[np.bool_] | None = None,
) -> ErrorModel:
    """Fit squared errors in a pilot: a constant, plus what doubt and flags add, none below 0.

    Args:
        sample: The judge's scores, and the labels of the pilot.
        unsure: 1 minus the judge's confidence in its label, 0 where it gives none, [rows].
        flagged: Whether the judge's score has a flag, [rows].
        unsure_of_all: The same of the rows to plan for; those of the sample if None.
        flagged_of_all: The same of the rows to plan for; those of the sample if None.

    Raises:
        ValueError: If the pilot is too small or without variation; the message says why.
    """
    mean = corrected_mean(sample)
    if mean.reason is not None or mean.labels_only is None:
        raise ValueError(mean.reason)
    chosen, weights = sample.labelled, sample.normalised_weights[sample.labelled]
    reference = sample.reference[chosen] - mean.labels_only.value
    judge = sample.judge[chosen] - float(weights @ sample.judge[chosen] / weights.sum())
    varies = float(weights @ judge**2)
    slope = float(weights @ (reference * judge)) / varies if varies else 0.0
    errors = (reference - slope * judge) ** 2 * len(weights) / (len(weights) - 2)
    roots = np.sqrt(weights)
    parts, _ = nnls(_signs(unsure, flagged)[chosen] * roots[:, None], errors * roots)
    average = float(weights @ errors / weights.sum())
    wanted = _signs(
        unsure if unsure_of_all is None else unsure_of_all,
        flagged if flagged_of_all is None else flagged_of_all,
    )
    # A row that seems free of error still has some chance to be wrong.
    squares = np.maximum(wanted @ parts, max(average / 100, _SMALLEST))
    variance = float(weights @ reference**2 / weights.sum())
    spread = math.sqrt(variance * len(weights) / (len(weights) - 1))
    return ErrorModel(np.sqrt(squares), spread, float(parts[1]), float(parts[2]))


def _signs(unsure: Floats, flagged: NDArray[np.bool_]) -> Floats:
    return np.column_stack([np.ones(len(unsure)), unsure, flagged.astype(np.float64)])


def expected_width(
    labels: int, chances: Floats, model: ErrorModel, before: int, *, judge: bool = True
) -> float:
    """Foretell the width of the 95% interval of a corrected mean.

    Args:
        labels: Number of labels, those of the pilot among them.
        chances: The chance with which each row is chosen for a label, in (0, 1], [rows].
        model: The errors to expect.
        before: How many of the labels the pilot has.
        judge: Whether the judge's scores are used; else the labels alone.
    """
    rows = len(chances)
    squares = model.sizes**2 if judge else np.full(rows, model.spread**2)
    # The new labels have their share of the estimate, and the pilot the rest.
    new = labels - before
    left = float(np.mean(squares * (1 / chances - 1))) / rows if new else 0.0
    pilot = float(np.mean(squares)) * (1 / before - 1 / rows) if before else 0.0
    share = before / labels
    variance = model.spread**2 / rows + share**2 * pilot + (1 - share) ** 2 * left
    return 2 * float(stdtrit(max(labels - 2, 1), (1 + CONFIDENCE) / 2)) * math.sqrt(variance)


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


def needed_labels(
    width: float,
    sizes: Floats,
    model: ErrorModel,
    before: int,
    *,
    judge: bool = True,
    equal_share: float = EQUAL_SHARE,
) -> int | None:
    """Say how many labels it takes for an interval of some width.

    Args:
        width: Width of the 95% interval, from end to end.
        sizes: The errors by which new rows are chosen, [rows].
        model: The errors to expect.
        before: How many labels there are.
        judge: Whether the judge's scores are used.
        equal_share: See `chances_of`.

    Returns:
        Their number, those there are included; None if labels for all rows do not suffice.
    """
    rows = len(sizes)

    def is_enough(labels: int) -> bool:
        new = chances_of(sizes, labels - before, equal_share) if labels > before else np.ones(rows)
        return expected_width(labels, new, model, before, judge=judge) <= width

    low, high = max(before, FEWEST_PROBLEMS) - 1, rows
    if not is_enough(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def rows_needed(width: float, model: ErrorModel, labels: int) -> int:
    """Say how many rows there would have to be for a width, if all had labels."""
    quantile = 2 * float(stdtrit(max(labels - 2, 1), (1 + CONFIDENCE) / 2))
    return math.ceil((quantile * model.spread / width) ** 2)


@dataclass(frozen=True)
class CriterionPlan:
    """What to expect on one criterion; numbers of labels include those that there are.

    Attributes:
        needed: Labels for the width asked for, rows chosen as planned; None if all rows would not
            do, or no width was asked for.
        needed_equal: The same, rows chosen by equal chances.
        needed_labels_only: The same without the judge.
        rows_needed: So many rows would do if all had labels; None if no width was asked for.
        width_before: Width of the interval with the labels there are; None without any.
        width: Width of the interval with those of the plan as well; None if there are no labels.
        of_unsure: See `ErrorModel`.
        of_flags: See `ErrorModel`.
    """

    needed: int | None
    needed_equal: int | None
    needed_labels_only: int | None
    rows_needed: int | None
    width_before: float | None
    width: float | None
    of_unsure: float
    of_flags: float


@dataclass(frozen=True)
class LabelPlan:
    """How many rows of a model to label, and what comes of it.

    Attributes:
        rows: Number of its rows that the judge has scored.
        before: How many of them have labels.
        new: How many more to label.
        sizes: The error to expect of each row, on any scale, [rows].
        criteria: What to expect, by criterion; nothing without a pilot.
    """

    rows: int
    before: int
    new: int
    sizes: Floats
    criteria: Mapping[str, CriterionPlan]

    @property
    def pilot_share(self) -> float:
        """The part of an estimate that the labels before the plan have, in [0, 1)."""
        return self.before / (self.before + self.new) if self.new else 0.0

    def figures(self) -> dict[str, Any]:
        """The plan without the errors of single rows."""
        return {
            "rows": self.rows,
            "before": self.before,
            "new": self.new,
            "criteria": self.criteria,
        }


def plan_group(
    sizes: Floats,
    models: Mapping[str, ErrorModel],
    before: int,
    width: float | None,
    labels: int | None,
) -> LabelPlan:
    """Plan the labels of one model's rows.

    Args:
        sizes: The errors by which rows are chosen, over all criteria, [rows].
        models: The errors to expect on each criterion.
        before: How many rows have labels.
        width: The width that the interval of every criterion shall have that can have it. None
            where `labels` says how many.
        labels: How many new labels to have, at most all.
    """
    rows = len(sizes)

    def needed(
        each: ErrorModel, judge: bool = True, equal_share: float = EQUAL_SHARE
    ) -> int | None:
        if width is None:
            return None
        return needed_labels(width, sizes, each, before, judge=judge, equal_share=equal_share)

    found = {key: needed(each) for key, each in models.items()}
    if labels is None:
        new = max((each for each in found.values() if each), default=before) - before
    else:
        new = min(labels, rows - before)
    chances = chances_of(sizes, new) if new else np.ones(rows)
    return LabelPlan(
        rows,
        before,
        new,
        sizes,
        {
            key: CriterionPlan(
                found[key],
                needed(each, equal_share=1.0),
                needed(each, judge=False, equal_share=1.0),
                None if width is None else rows_needed(width, each, rows),
                expected_width(before, chances, each, before) if before else None,
                expected_width(before + new, chances, each, before) if before + new else None,
                each.of_unsure,
                each.of_flags,
            )
            for key, each in models.items()
        },
    )


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
