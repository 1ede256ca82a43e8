"""Does a judge like long responses better than the reference does?"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from inspector_plugin.agreement.bootstrap import Estimate, estimate, resampled
from inspector_plugin.agreement.statistics import Pairs

Floats = NDArray[np.float64]

# A reference with no more values than this is held fixed by its scores, else by its labels.
_MOST_VALUES = 25
# Sums of squares that are no larger, for each response, are rounding.
_NOTHING = 1e-12


def length_slope(
    pairs: Pairs,
    problems: NDArray[np.intp],
    lengths: NDArray[np.int64],
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> Estimate | None:
    """How much higher the judge scores a response twice as long that the reference scores alike.

    The slope of a least-squares fit of the judge's score on the base-2 logarithm of the characters
    of the response, with an intercept for each score of the reference (for each of its labels where
    it has more than 25 different scores).

    Args:
        pairs: The judge's and the reference's scores.
        problems: The number of each pair's problem, from 0, [n].
        lengths: Characters of each response, [n].
        seed: Seed of the bootstrap.
        resamples: Number of resamples.

    Returns:
        In points of the scale, or as a share of it where the two score on different scales; None
        where no two responses with one score of the reference differ in length.
    """
    x = np.log2(np.maximum(lengths, 1).astype(np.float64))
    x -= x.mean()  # so that sums of squares lose no digits
    y = pairs.judge_scores * (1.0 if pairs.span is None else pairs.span)
    groups = np.unique(pairs.reference_scores, return_inverse=True)[1]
    if groups.max() >= _MOST_VALUES:
        groups = pairs.reference_labels
    count, number = int(problems.max()) + 1, int(groups.max()) + 1
    sums = [
        csr_array((values, (groups, problems)), shape=(number, count))
        for values in (np.ones_like(x), x, y, x * x, x * y)
    ]

    def slopes(weights: Floats) -> Floats:
        ones, xs, ys, squares, products = (table @ weights for table in sums)
        with np.errstate(divide="ignore", invalid="ignore"):
            within = np.where(ones > 0, squares - xs * xs / ones, 0.0).sum(axis=0)
            shared = np.where(ones > 0, products - xs * ys / ones, 0.0).sum(axis=0)
            slope: Floats = np.where(within > _NOTHING * len(x), shared / within, math.nan)
        return slope

    value = float(slopes(np.ones((count, 1)))[0])
    drawn = resampled(slopes, count, number * len(sums), seed, resamples)
    return estimate(value, drawn)
