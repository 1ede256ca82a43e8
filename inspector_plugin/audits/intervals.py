"""Intervals of shares where several observations belong to one problem."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

from inspector_plugin.agreement.bootstrap import Estimate

# The 97.5% quantile of the normal distribution: intervals are of 95%.
_Z = 1.959963984540054
# Fewer clusters than these with a success, or with a failure, do not show how much clusters differ.
_FEWEST_CLUSTERS = 5


def clustered_share(successes: Sequence[bool], clusters: Sequence[Hashable]) -> Estimate | None:
    """Estimate a share with its 95% Wilson interval.

    The interval's size is that of as many independent observations as carry the same information:
    the variance of the share is taken from the differences between clusters. Where all clusters, or
    nearly all, are of one kind these tell next to nothing, and every cluster counts as at most one
    observation. Unlike a bootstrap, this gives a share of 0 or 1 an interval too.

    Args:
        successes: The observations.
        clusters: What they have in common, such as their problem, in the same order.

    Returns:
        None if there are no observations; no interval if they are all of one cluster.
    """
    if not successes:
        return None
    share = sum(successes) / len(successes)
    size = effective_size(successes, clusters)
    return Estimate(share) if size is None else Estimate(share, *_wilson(share, size))


def effective_size(successes: Sequence[bool], clusters: Sequence[Hashable]) -> float | None:
    """How many independent observations tell as much about a share; see `clustered_share`.

    Returns:
        None if all observations are of one cluster, or there are none.
    """
    sums: dict[Hashable, list[int]] = {}
    for success, cluster in zip(successes, clusters, strict=True):
        counts = sums.setdefault(cluster, [0, 0])
        counts[0] += success
        counts[1] += 1
    size = len(successes)
    if len(sums) < 2:
        return None
    share = sum(successes) / size
    variance = sum((hits - share * count) ** 2 for hits, count in sums.values()) / size**2
    effective = min(size, share * (1 - share) / variance) if variance else float(size)
    with_success = sum(hits > 0 for hits, _ in sums.values())
    with_failure = sum(hits < count for hits, count in sums.values())
    if min(with_success, with_failure) < _FEWEST_CLUSTERS:
        effective = min(effective, len(sums))
    return effective


def _wilson(share: float, size: float) -> tuple[float, float]:
    square = _Z**2 / size
    middle = (share + square / 2) / (1 + square)
    half = _Z / (1 + square) * math.sqrt(share * (1 - share) / size + square / (4 * size))
    return max(0.0, middle - half), min(1.0, middle + half)
