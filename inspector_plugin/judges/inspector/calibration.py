"""How far probabilities can be taken at their word."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_BINS = 10
_DRAWS = 200
_COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)


def calibration(probabilities: Array, labels: Ints, seed: int = 0) -> dict[str, Any]:
    """Compare the probability of the likeliest label with how often it is right.

    Args:
        probabilities: Held-out probabilities, [rows, labels].
        labels: Index of the right label, [rows].
        seed: Seed of the draws behind `ece_bias`.

    Returns:
        "ece": expected calibration error over ten bins of equal width, 0 to 1. "ece_bias": what a
        perfectly calibrated judge would show with as many rows and the same confidences, mean of
        200 draws. "brier": mean squared error of the probabilities, summed over the labels.
        "reliability": for each bin that is not empty its mean confidence, the share of right
        labels, and the number of rows.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bins = _bins(confidence)
    truth = np.eye(probabilities.shape[1])[labels]
    return {
        **pooled_calibration(confidence, right, seed),
        "brier": round(float(((probabilities - truth) ** 2).sum(axis=1).mean()), 4),
        "reliability": [
            [
                round(float(confidence[bins == each].mean()), 4),
                round(float(right[bins == each].mean()), 4),
                int((bins == each).sum()),
            ]
            for each in np.unique(bins)
        ],
    }


def pooled_calibration(
    confidences: Array, right: npt.NDArray[np.bool_], seed: int = 0
) -> dict[str, float]:
    """The calibration error over all criteria, and that of a perfectly calibrated judge.

    Args:
        confidences: Probability of the likeliest label, [scores].
        right: Whether it is the right one, [scores].
        seed: Seed of the draws behind `ece_bias`.
    """
    bins, random = _bins(confidences), np.random.default_rng(seed)
    drawn = [
        _ece(confidences, random.random(len(right)) < confidences, bins) for _ in range(_DRAWS)
    ]
    return {
        "ece": round(_ece(confidences, right, bins), 4),
        "ece_bias": round(float(np.mean(drawn)), 4),
    }


def coverage_curve(confidences: Array, right: npt.NDArray[np.bool_]) -> list[list[float]]:
    """How agreement rises where the least confident scores are left out.

    Returns:
        For each coverage: the coverage, the least confidence that is kept, and the share of right
        labels among those kept.
    """
    order = np.argsort(-confidences, kind="stable")
    curve = []
    for coverage in _COVERAGES:
        kept = order[: max(1, round(coverage * len(order)))]
        curve.append(
            [coverage, round(float(confidences[kept[-1]]), 4), round(float(right[kept].mean()), 4)]
        )
    return curve


def _bins(confidence: Array) -> Ints:
    return np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)


def _ece(confidence: Array, right: npt.NDArray[np.bool_], bins: Ints) -> float:
    return float(
        sum(
            abs(confidence[bins == each].mean() - right[bins == each].mean())
            * (bins == each).mean()
            for each in np.unique(bins)
        )
    )
