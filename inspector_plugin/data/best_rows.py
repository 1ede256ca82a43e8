"""The best of judged responses, and why each of the others is not among them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.data.score_table import ScoreColumn, ScoreTable
from inspector_plugin.errors import DataError, one_of
from inspector_plugin.schema.criteria import TOTAL, common_scale
from inspector_plugin.schema.flags import DroppedFlags

WORSE = "below the best"
TIED = "as good as the last one kept, but later in the file"


@dataclass(frozen=True)
class BestRows:
    """Which rows are kept.

    Attributes:
        kept: The numbers of the rows kept, in the order of the file.
        dropped: How many rows are dropped, by reason.
        cut: The score of the last row kept; None if none is.
    """

    kept: NDArray[np.intp]
    dropped: Counter[str]
    cut: float | None


def choose_judge(table: ScoreTable, wanted: str | None) -> str:
    """The judge whose scores decide.

    Raises:
        DataError: If there is no judge of that name, or none is named and there are several.
    """
    if wanted is None and len(table.judges) > 1:
        raise DataError(
            f"There are scores by {', '.join(table.judges)}; say whose to take with --judge NAME."
        )
    if wanted is not None and wanted not in table.judges:
        raise DataError(one_of(wanted, table.judges, "judge"))
    return wanted or table.judges[0]


def best_rows(
    table: ScoreTable,
    judge: str,
    *,
    top: float = 1.0,
    by: str | None = None,
    min_confidence: float | None = None,
    dropped: DroppedFlags | None = None,
) -> BestRows:
    """Choose the best rows by the scores of a judge.

    A row without a score (on any of the criteria, for the total) is never kept. Of rows with equal
    scores the earlier in the file are kept.

    Args:
        table: The scores.
        judge: The judge.
        top: The share of all rows of the table to keep, in (0, 1]; fewer are kept if fewer qualify.
        by: A criterion's key, or "total": the sum over all criteria but `correctness`. None for
            the total, or for the only criterion there is.
        min_confidence: The least probability of the label, in [0, 1], on each criterion that
            counts.
        dropped: Which flags, on a criterion that counts, leave a row out; None for none.

    Raises:
        DataError: If the criterion is not there, criteria on different scales are summed up, or
            the judge gives no probabilities.
    """
    scores, reasons = row_scores(table, judge, by, min_confidence, dropped)
    usable = np.array([number for number, reason in enumerate(reasons) if reason is None], np.intp)
    order = usable[np.argsort(-np.round(scores[usable], 9), kind="stable")]
    best = order[: math.floor(top * table.rows + 0.5)]
    cut = float(scores[best[-1]]) if len(best) else None
    for row in order[len(best) :]:
        is_tied = cut is not None and round(float(scores[row]), 9) == round(cut, 9)
        reasons[row] = TIED if is_tied else WORSE
    return BestRows(np.sort(best), Counter(reason for reason in reasons if reason is not None), cut)


def row_scores(
    table: ScoreTable,
    judge: str,
    by: str | None = None,
    min_confidence: float | None = None,
    dropped: DroppedFlags | None = None,
) -> tuple[NDArray[np.float64], list[str | None]]:
    """Score each row by a criterion or by the total, and say which rows cannot be kept.

    Args:
        table: The scores.
        judge: The judge.
        by: As for `best_rows`.
        min_confidence: As there.
        dropped: As there.

    Returns:
        The scores, NaN where one is missing, [rows]; and for each row why it cannot be kept,
        whatever the others are; None where it can.

    Raises:
        DataError: As `best_rows`.
    """
    keys = table.keys_of(judge)
    by = by or (keys[0] if len(keys) == 1 else TOTAL)
    columns = table.total_columns(judge) if by == TOTAL else [table.column(judge, by)]
    if common_scale(column.scale for column in columns) is None:
        raise DataError(
            "The criteria are on different scales, so that there is no total; choose one with "
            f"--by: {', '.join(keys)}."
        )
    if min_confidence is not None and all(np.isnan(each.confidence).all() for each in columns):
        raise DataError(f"--min-confidence: judge {judge!r} gives no probabilities of its labels.")
    scores = np.sum([column.scores for column in columns], axis=0)
    return scores, _reasons(columns, table.rows, min_confidence, dropped)


def _reasons(
    columns: Sequence[ScoreColumn],
    rows: int,
    min_confidence: float | None,
    dropped: DroppedFlags | None,
) -> list[str | None]:
    """Why each row cannot be kept whatever the others are; None where it can."""
    reasons: list[str | None] = [None] * rows
    for column in columns:
        by_flags = [dropped.among(each) if dropped else () for each in column.flag_sets]
        for row in range(rows):
            if reasons[row] is not None:
                continue
            flags = by_flags[column.flag_codes[row]]
            confidence = column.confidence[row]
            if np.isnan(column.scores[row]):
                why = column.reason_of(row)
                reasons[row] = (
                    f"unscored on {column.key}: {why}" if why else f"not judged on {column.key}"
                )
            elif flags:
                reasons[row] = f"flagged {', '.join(flags)}"
            elif min_confidence is not None and np.isnan(confidence):
                reasons[row] = f"no probability of the label on {column.key}"
            elif min_confidence is not None and confidence < min_confidence:
                reasons[row] = f"confidence below {min_confidence:g}"
    return reasons
