"""How many labels an interval of some width takes, and how many rows of each model to label."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from inspector_plugin.agreement.bootstrap import CONFIDENCE
from inspector_plugin.agreement.corrected import FEWEST_PROBLEMS
from inspector_plugin.agreement.label_choice import EQUAL_SHARE, chances_of
from inspector_plugin.agreement.label_errors import ErrorModel

Floats = NDArray[np.float64]


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
