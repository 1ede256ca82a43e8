"""Bootstrap intervals that draw whole clusters, such as all responses to one problem."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95


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


def resamples_of(codes: NDArray[np.intp], seed: int, resamples: int) -> list[NDArray[np.intp]]:
    """Draw clusters with replacement.

    Args:
        codes: The number of each row's cluster, from 0, [rows].
        seed: Seed of the draws.
        resamples: Number of draws.

    Returns:
        The rows of each draw; no draws if one cluster is all.
    """
    clusters = int(codes.max()) + 1
    if clusters < 2:
        return []
    random = np.random.default_rng(seed)
    rows = np.arange(len(codes))
    times = random.multinomial(clusters, np.full(clusters, 1 / clusters), size=resamples)
    return [np.repeat(rows, drawn[codes]) for drawn in times]


def estimate(value: float, drawn: NDArray[np.float64]) -> Estimate | None:
    """Make an estimate of a value and of the same statistic in resamples.

    Args:
        value: The value; NaN where the statistic is not defined.
        drawn: The values in the resamples, [resamples].

    Returns:
        None if the statistic is not defined; no interval if it is not in half of the resamples.
    """
    if math.isnan(value):
        return None
    defined = drawn[~np.isnan(drawn)]
    if len(defined) < 2 or 2 * len(defined) < len(drawn):
        return Estimate(value)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(defined, (tail, 1 - tail))
    return Estimate(value, float(low), float(high), float(defined.std(ddof=1)))
