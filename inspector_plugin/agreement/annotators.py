"""Several annotators: how far they agree among themselves, and what that means for a judge."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from inspector_plugin.agreement.bootstrap import Estimate, estimate, resampled
from inspector_plugin.agreement.compare import estimates_of
from inspector_plugin.agreement.joined import Joined, codes_of
from inspector_plugin.agreement.labels import alpha_of_coincidences
from inspector_plugin.agreement.statistics import ALL_STATISTICS
from inspector_plugin.data.score_table import ScoreColumn, ScoreTable

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Stratum:
    """A judge on responses about which the annotators agree equally far.

    Attributes:
        apart: How far the annotators' labels lie apart, such as "0" or "2 or more".
        n: Number of responses.
        statistics: The judge's agreement with their mean.
    """

    apart: str
    n: int
    statistics: Mapping[str, Estimate | None]


def alpha_of_all(
    labels: Floats,
    problems: NDArray[np.intp],
    *,
    level: str = "ordinal",
    seed: int = 0,
    resamples: int = 1000,
) -> Estimate | None:
    """Krippendorff's alpha of any number of annotators, with missing labels.

    Args:
        labels: Whole numbers; NaN where an annotator has not labelled a response,
            [annotators, responses].
        problems: The number of each response's problem, from 0, [responses].
        level: "nominal", "ordinal" or "interval".
        seed: Seed of the bootstrap.
        resamples: Number of resamples of problems.

    Returns:
        None where it is not defined: no response has two labels, or all labels are the same.
    """
    given = ~np.isnan(labels)
    count = given.sum(axis=0)
    pairable = count > 1
    if not pairable.any():
        return None
    lowest = int(np.nanmin(labels))
    size = int(np.nanmax(labels)) - lowest + 1
    codes = np.where(given, labels - lowest, 0).astype(np.intp)
    problems = np.where(pairable, problems, -1)
    cells, of_problems, weights = [], [], []
    for one in range(len(labels)):
        for other in range(len(labels)):
            rows = np.flatnonzero(given[one] & given[other] & (one != other))
            cells.append(codes[one, rows] * size + codes[other, rows])
            of_problems.append(problems[rows])
            weights.append(1 / (count[rows] - 1))
    columns = codes_of(np.concatenate(of_problems))
    clusters = int(columns.max()) + 1
    counts = csr_array(
        (np.concatenate(weights), (np.concatenate(cells), columns)),
        shape=(size * size, clusters),
    )

    def alphas(drawn: Floats) -> Floats:
        coincidences: Floats = (counts @ drawn).T.reshape(-1, size, size)
        return alpha_of_coincidences(coincidences, level)

    value = float(alphas(np.ones((clusters, 1)))[0])
    return estimate(value, resampled(alphas, clusters, size * size, seed, resamples))


def alpha_by_criterion(
    table: ScoreTable,
    columns: Mapping[str, Sequence[ScoreColumn]],
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> dict[str, Estimate | None]:
    """Krippendorff's alpha (ordinal) of several annotators on each criterion.

    Where they score on different scales, labels are low or high quality.
    """
    found = {}
    for key, group in columns.items():
        mixed = len({column.scale for column in group}) > 1
        labels = np.stack([(column.as_binary() if mixed else column).labels for column in group])
        found[key] = alpha_of_all(labels, table.problem_codes, seed=seed, resamples=resamples)
    return found


def by_agreement(
    joined: Joined,
    annotators: Sequence[Sequence[ScoreColumn]],
    rows_of: Sequence[int],
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> list[Stratum]:
    """Split the agreement of a judge by how far the annotators agree among themselves.

    Args:
        joined: The judge's scores and the annotators' mean, on one criterion or several.
        annotators: The annotators' columns, for each criterion in `joined`.
        rows_of: How many of the pairs in `joined` are on each of these criteria.
        seed: Seed of the bootstrap.
        resamples: Number of resamples.

    Returns:
        For labels that are all the same, one apart, and further apart, those that there are;
        responses with fewer than two annotators are left out.
    """
    apart = np.full(joined.n, math.nan)
    start = 0
    for columns, count in zip(annotators, rows_of, strict=True):
        rows = joined.rows[start : start + count]
        labels = np.stack([column.labels[rows] for column in columns])
        several = (~np.isnan(labels)).sum(axis=0) > 1
        spread = np.full(count, math.nan)
        if several.any():
            chosen = labels[:, several]
            spread[several] = np.nanmax(chosen, axis=0) - np.nanmin(chosen, axis=0)
        apart[start : start + count] = spread
        start += count
    furthest = np.nanmax(apart, initial=0.0)
    names = {0.0: "0", 1.0: "1"}
    if furthest >= 2:
        names[2.0] = "2" if furthest == 2 else "2 or more"
    strata = []
    for least, name in names.items():
        part = joined.take(apart >= least if least == 2 else apart == least)
        if part.pairs is not None:
            statistics: Mapping[str, Estimate | None] = dict.fromkeys(ALL_STATISTICS)
            if part.n > 1:
                statistics = estimates_of(
                    part.pairs, part.problems, ALL_STATISTICS, seed=seed, resamples=resamples
                )
            strata.append(Stratum(name, part.n, statistics))
    return strata
