"""Bootstrap intervals that draw whole clusters, such as all responses to one problem."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
# More resamples take days and tell nothing.
MOST_RESAMPLES = 1_000_000
# Draws are made in blocks of about so many numbers: large enough for numpy, and small in memory.
_MOST_NUMBERS = 2_000_000


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


def cluster_weights(
    clusters: int, seed: int, resamples: int, block: int
) -> Iterator[NDArray[np.float64]]:
    """Draw clusters with replacement.

    Args:
        clusters: How many clusters there are.
        seed: Seed of the draws.
        resamples: Number of draws.
        block: The most draws to hand out at a time; it makes no difference to them.

    Yields:
        How often each cluster was drawn, [clusters, draws]; nothing if one cluster is all.
    """
    if clusters < 2:
        return
    random = np.random.default_rng(seed)
    shares = np.full(clusters, 1 / clusters)
    for start in range(0, resamples, block):
        draws = min(block, resamples - start)
        yield random.multinomial(clusters, shares, size=draws).T.astype(np.float64)


def resamples_of(codes: NDArray[np.intp], seed: int, resamples: int) -> Iterator[NDArray[np.intp]]:
    """Draw clusters with replacement, for a statistic that takes rows and not weights.

    Args:
        codes: The number of each row's cluster, from 0, [rows].
        seed: Seed of the draws.
        resamples: Number of draws.

    Yields:
        The rows of each draw; nothing if one cluster is all.
    """
    rows = np.arange(len(codes))
    for drawn in cluster_weights(int(codes.max()) + 1, seed, resamples, block=1):
        yield np.repeat(rows, drawn[codes, 0].astype(np.intp))


def resampled(
    statistics: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    clusters: int,
    cells: int,
    seed: int,
    resamples: int,
) -> NDArray[np.float64]:
    """Compute statistics of resamples of clusters.

    Args:
        statistics: Takes how often each cluster was drawn, [clusters, draws]; gives [draws, ...].
        clusters: How many clusters there are.
        cells: How many numbers `statistics` has in memory for one draw, roughly.
        seed: Seed of the draws.
        resamples: Number of draws.

    Returns:
        What `statistics` gives for all draws, one after the other; no draws if one cluster is all.
    """
    block = max(1, min(resamples, _MOST_NUMBERS // max(cells, clusters, 1)))
    parts = [statistics(drawn) for drawn in cluster_weights(clusters, seed, resamples, block)]
    return np.concatenate(parts) if parts else np.empty((0,))


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
