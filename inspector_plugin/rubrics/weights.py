"""How much each item of a rubric counts: fitted to labels, or by the verdicts' covariance alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import Ridge

Floats = NDArray[np.float64]
RIDGE, WHITENING = "ridge regression on labels", "whitening"
# Of the ridge: little beside the verdicts of a hundred responses, much beside those of ten.
_PENALTY = 1.0
_FEWEST_ROWS = 8


def ridge_weights(values: Floats, labels: Floats, problems: Sequence[str]) -> Floats | None:
    """Fit weights, none below 0, so that the weighted sum of verdicts follows the labels.

    Where problems have several responses, what is fitted are differences within a problem, so that
    harder problems do not count as worse responses.

    Args:
        values: How well each response does by each item, [responses, items]; NaN where unread.
        labels: Each response's label, [responses]; NaN where there is none.
        problems: Each response's problem.

    Returns:
        Weights with mean 1, [items]; None if no item follows the labels, or there are too few.
    """
    known = ~(np.isnan(values).any(axis=1) | np.isnan(labels))
    if known.sum() < _FEWEST_ROWS:
        return None
    x, y = values[known], labels[known]
    _, groups = np.unique(np.array(problems)[known], return_inverse=True)
    within = np.zeros_like(x), np.zeros_like(y)
    for group in range(int(groups.max()) + 1):
        member = groups == group
        within[0][member] = x[member] - x[member].mean(axis=0)
        within[1][member] = y[member] - y[member].mean()
    if np.ptp(within[1]) > 0:
        x, y = within
    if np.ptp(y) == 0:
        return None
    fitted = Ridge(alpha=_PENALTY, positive=True).fit(x, (y - y.mean()) / y.std())
    return _with_mean_one(np.asarray(fitted.coef_, dtype=np.float64))


def whitening_weights(values: Floats) -> Floats | None:
    """Weigh items so that those that say the same share the weight of one.

    With S the covariance of the verdicts (shrunk by Ledoit and Wolf), the weights are S^(-1/2)
    times a vector of ones: equal weights for the whitened verdicts. An item on which all verdicts
    are the same orders nothing, and gets the mean weight.

    Source: RRD (arXiv 2602.05125), which weighs whitened verdicts equally. Weights below 0 become 0
    here.

    Args:
        values: How well each response does by each item, [responses, items]; NaN where unread.

    Returns:
        Weights with mean 1, [items]; None if there are fewer than 8 responses with all verdicts.
    """
    known = values[~np.isnan(values).any(axis=1)]
    if len(known) < _FEWEST_ROWS:
        return None
    varies = np.ptp(known, axis=0) > 0
    if not varies.any():
        return None
    covariance = LedoitWolf().fit(known[:, varies]).covariance_
    sizes, directions = np.linalg.eigh(covariance)
    inverse_root = directions @ np.diag(1 / np.sqrt(np.maximum(sizes, 1e-9))) @ directions.T
    found = _with_mean_one(inverse_root.sum(axis=1))
    if found is None:
        return None
    weights = np.ones(values.shape[1])
    weights[varies] = found
    return weights


def _with_mean_one(weights: Floats) -> Floats | None:
    weights = np.maximum(weights, 0.0)
    return None if not weights.sum() > 0 else weights / weights.mean()
