"""Calibration by one temperature, fitted on predictions for problems that were held out.

Source: Guo et al., On Calibration of Modern Neural Networks (ICML 2017), temperature scaling; we
differ in the prior. A temperature leaves the likeliest label as it is, and so every figure made of
labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import softmax

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Temperatures are looked for between 1/20 and 20.
MOST = 20.0
# Standard deviation of the logarithm: temperatures from .4 to 2.7 are within two of them.
SPREAD = 0.5
_SMALLEST = 1e-12


def tempered(probabilities: Array, temperature: float) -> Array:
    """Flatten probabilities by a temperature above 1, or sharpen them by one below.

    Args:
        probabilities: [rows, labels]; each row sums to 1.
        temperature: What log-probabilities are divided by, above 0.

    Returns:
        [rows, labels]; each row sums to 1. At temperature 1 what was given.
    """
    if temperature == 1.0:
        return probabilities
    logits = np.log(np.maximum(probabilities, _SMALLEST)) / temperature
    found: Array = softmax(logits, axis=1)
    return found


def best_temperature(probabilities: Array, labels: Ints) -> float:
    """The temperature under which the labels are likeliest, kept near 1 where there are few rows.

    A few dozen rows that happen to come out right would make a probe sure of everything. So the
    logarithm of the temperature has a normal prior around 0, `SPREAD` wide, that some hundred rows
    outweigh.

    Args:
        probabilities: Of rows that were not fitted on, [rows, labels].
        labels: Index of the right label, [rows].
    """
    rows = np.arange(len(labels))

    def surprise(log_temperature: float) -> float:
        of_label = tempered(probabilities, float(np.exp(log_temperature)))[rows, labels]
        unlikely = -float(np.log(np.maximum(of_label, _SMALLEST)).sum())
        return unlikely + log_temperature**2 / (2 * SPREAD**2)

    bound = float(np.log(MOST))
    found = minimize_scalar(surprise, bounds=(-bound, bound), method="bounded")
    return round(float(np.exp(found.x)), 4)


def tempered_by_folds(
    probabilities: Array, labels: Ints, folds: Sequence[tuple[Ints, Ints]]
) -> Array:
    """Calibrate the predictions of each fold by a temperature fitted on the other folds'.

    Args:
        probabilities: Held-out probabilities, [rows, labels].
        labels: Index of the right label, [rows].
        folds: For each fold the rows of the others, and its own.

    Returns:
        [rows, labels]: what calibrated probabilities look like on problems never seen.
    """
    found = np.empty_like(probabilities)
    for others, own in folds:
        temperature = best_temperature(probabilities[others], labels[others])
        found[own] = tempered(probabilities[own], temperature)
    return found
