"""Figures of an evaluation: pair accuracy and rank correlation, with intervals by problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.agreement.bootstrap import Estimate, estimate, resampled
from inspector_plugin.agreement.joined import codes_of
from inspector_plugin.agreement.paired_means import paired_means
from inspector_plugin.agreement.ranks import RankTable
from inspector_plugin.data.labelled import LabelledFile, LabelledProblem
from inspector_plugin.rubrics.evaluated_scores import Scores


@dataclass(frozen=True)
class Statistic:
    """A figure of an evaluation.

    Attributes:
        value: The figure with its interval; None if it is not defined.
        count: Over how many pairs or responses.
        asked: Of how many, all with labels, and in pairs with labels that differ.
        reason: Why there is no figure; None where there is one.
    """

    value: Estimate | None
    count: int
    asked: int
    reason: str | None = None


def pair_value(problem: LabelledProblem, scores: Sequence[float]) -> float:
    """1 if the best response scores above the worst, 1/2 if the same, else 0; NaN if unknown."""
    if problem.contrast is None:
        return np.nan
    better, worse = (scores[place] for place in problem.contrast)
    if np.isnan(better) or np.isnan(worse):
        return np.nan
    return float(better > worse) + 0.5 * float(better == worse)


def share_of_ties(values: Sequence[float]) -> float | None:
    """How many of the known values of pairs are ties; None if none is known."""
    known = [value for value in values if not np.isnan(value)]
    return sum(value == 0.5 for value in known) / len(known) if known else None


def problem_codes(problems: Sequence[LabelledProblem], rows: Sequence[int]) -> NDArray[np.intp]:
    """Number the problems of rows, so that rows of one problem are drawn together."""
    numbers: dict[str, int] = {}
    return np.array(
        [numbers.setdefault(problems[row].problem, len(numbers)) for row in rows], dtype=np.intp
    )


def mean_statistic(
    values: Sequence[float], codes: NDArray[np.intp], seed: int, resamples: int
) -> Statistic:
    """Estimate the mean of what is known of some values, by problem."""
    every = np.array(values, dtype=np.float64)
    known = ~np.isnan(every)
    count = int(known.sum())
    if count == 0:
        return Statistic(None, 0, len(values), "no pair has two scores")
    # Where all values are equal so are all resamples, which says nothing of what others would be.
    told_apart = len(set(every[known])) > 1
    [found] = paired_means(
        {"": every[known]},
        codes_of(codes[known]),
        seed=seed,
        resamples=resamples if told_apart else 0,
    ).values()
    return Statistic(found.mean, count, len(values))


def correlation(
    file: LabelledFile, rows: Sequence[int], scores: Scores, seed: int, resamples: int
) -> Statistic:
    """Estimate Spearman's correlation of scores with labels over all responses, by problem."""
    codes = problem_codes(file.problems, rows)
    triples = [
        (score, label, code)
        for row, code in zip(rows, codes, strict=True)
        for score, label in zip(scores.of[row], file.problems[row].labels, strict=True)
        if label is not None
    ]
    known = [each for each in triples if not np.isnan(each[0])]
    if len(known) < 3:
        reason = f"{len(known)} responses have a score and a label; a correlation needs 3"
        return Statistic(None, len(known), len(triples), reason)
    given, labels, problem = (np.array(column) for column in zip(*known, strict=True))
    numbers = codes_of(problem)
    clusters = int(numbers.max()) + 1
    table = RankTable(given.astype(np.float64), labels.astype(np.float64), numbers, clusters)
    value = float(table.spearman(np.ones((clusters, 1)))[0])
    if np.isnan(value):
        reason = "all scores, or all labels, are equal"
        return Statistic(None, len(known), len(triples), reason)
    drawn = resampled(table.spearman, clusters, table.cells, seed, resamples)
    return Statistic(estimate(value, drawn), len(known), len(triples))
