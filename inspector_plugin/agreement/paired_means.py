"""Means of several arms over the same problems, and how far each lies from one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.agreement.bootstrap import Estimate, estimate, resampled

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ArmMean:
    """The mean of an arm.

    Attributes:
        mean: The mean, weighted.
        difference: The mean less that of the arm compared with, from the same resamples; None for
            that arm itself, and where there is none.
    """

    mean: Estimate
    difference: Estimate | None


def paired_means(
    values: Mapping[str, Floats],
    problems: NDArray[np.intp],
    weights: Floats | None = None,
    *,
    against: str | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> dict[str, ArmMean]:
    """Compute means, with intervals by a bootstrap that draws problems, the same for all arms.

    Args:
        values: For each arm the values, [rows]; rows are the same in all arms.
        problems: The number of each row's problem, from 0, [rows].
        weights: What each row counts, such as its tokens, [rows]; all alike if None.
        against: The arm to compare the others with, if any.
        seed: Seed of the bootstrap.
        resamples: Number of resamples.
    """
    names = list(values)
    weight = np.ones(len(problems)) if weights is None else weights
    clusters = int(problems.max()) + 1
    totals = np.stack(
        [np.bincount(problems, values[name] * weight, minlength=clusters) for name in names]
    )
    counts = np.bincount(problems, weight, minlength=clusters)

    def means(drawn: Floats) -> Floats:
        return np.asarray((totals @ drawn / (counts @ drawn)).T, dtype=np.float64)

    whole = means(np.ones((clusters, 1)))[0]
    draws = resampled(means, clusters, clusters, seed, resamples)
    draws = draws if draws.size else np.empty((0, len(names)))
    reference = names.index(against) if against in names else None
    found = {}
    for place, name in enumerate(names):
        mean = estimate(float(whole[place]), draws[:, place])
        assert mean is not None  # a mean of numbers is defined
        difference = None
        if reference is not None and place != reference:
            difference = estimate(
                float(whole[place] - whole[reference]), draws[:, place] - draws[:, reference]
            )
        found[name] = ArmMean(mean, difference)
    return found
