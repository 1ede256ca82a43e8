"""The statistics of paired differences whose rows share problems.

All is computed from the differences, edited response less unedited one. Rows of one problem are no
independent observations: the variance is that between problems (cluster-robust, with the factor
G / (G - 1) and Student's t of G - 1 degrees of freedom for G problems).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, false_discovery_control
from scipy.stats import t as student

from inspector_plugin.agreement.bootstrap import CONFIDENCE, Estimate

POWER = 0.8
# Where the responses to fewer problems all move the same way, that may still be chance: with five,
# two-sided, it happens in 2 * 2**-5 = 6% of the cases.
FEWEST_PROBLEMS = 6


@dataclass(frozen=True)
class Shift:
    """A mean difference.

    Attributes:
        mean: The mean, with its interval; no interval from a single problem.
        problems: Number of problems.
        p: Two-sided p-value of there being no shift; None from a single problem.
        detectable: The smallest shift that a sample like this shows at the 5% level with a power of
            80%; None from a single problem.
    """

    mean: Estimate
    problems: int
    p: float | None
    detectable: float | None


def mean_shift(differences: NDArray[np.float64], problems: NDArray[np.intp]) -> Shift | None:
    """Estimate a mean difference.

    The p-value is that of the t-test, and never below that of a sign test of the problems that
    moved: where k of them moved, chance alone moves all one way in 2 * 2**-k of the cases. So a few
    rows that all move alike do not pass for proof because they do not differ.

    Args:
        differences: [rows].
        problems: The number of each row's problem, [rows].

    Returns:
        None if there are no rows.
    """
    if not len(differences):
        return None
    mean = float(differences.mean())
    _, codes = np.unique(problems, return_inverse=True)
    count = int(codes.max()) + 1
    if count < 2:
        return Shift(Estimate(mean), count, None, None)
    sums = np.bincount(codes, weights=differences - mean, minlength=count)
    variance = count / (count - 1) * float((sums**2).sum()) / len(differences) ** 2
    # What rounding leaves of no variance is none.
    stderr = math.sqrt(variance) if variance > 1e-24 else 0.0
    quantile = float(student.ppf((1 + CONFIDENCE) / 2, count - 1))
    half = quantile * stderr
    moved = int(np.count_nonzero(np.bincount(codes, weights=differences, minlength=count)))
    return Shift(
        Estimate(mean, mean - half, mean + half, stderr),
        count,
        _p_value(mean, stderr, count, moved),
        (quantile + float(student.ppf(POWER, count - 1))) * stderr,
    )


def _p_value(mean: float, stderr: float, problems: int, moved: int) -> float:
    least = min(1.0, 2.0 ** (1 - moved)) if moved else 1.0
    if not stderr:
        return least if mean else 1.0
    return max(least, 2 * float(student.sf(abs(mean) / stderr, problems - 1)))


def p_above(share: float, size: float, allowed: float) -> float:
    """The p-value of a share being no more than what is allowed, by the exact binomial test.

    Args:
        share: The share observed.
        size: Of as many independent observations.
        allowed: The share that is allowed.
    """
    count = max(1, round(size))
    return float(binomtest(round(share * count), count, min(allowed, 1.0), "greater").pvalue)


def false_discovery(values: Sequence[float | None]) -> list[float | None]:
    """Adjust p-values of all tests of an audit by Benjamini and Hochberg's procedure.

    Args:
        values: The p-values; None where there was no test.

    Returns:
        For each the smallest share of false discoveries at which it would count as one.
    """
    tested = [value for value in values if value is not None]
    if not tested:
        return list(values)
    adjusted = iter(false_discovery_control(tested, method="bh").tolist())
    return [None if value is None else next(adjusted) for value in values]
