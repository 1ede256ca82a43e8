"""Statistics of labels, computed from tables of counts for many resamples at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def accuracy(confusion: Floats) -> Floats:
    """Share of equal labels.

    Args:
        confusion: Counts, [resamples, reference label, judge label].
    """
    return _ratio(np.trace(confusion, axis1=1, axis2=2), confusion.sum(axis=(1, 2)))


def macro_f1(confusion: Floats) -> Floats:
    """Mean F1 over the labels that occur on either side; see `accuracy`."""
    occurrences = confusion.sum(axis=1) + confusion.sum(axis=2)
    f1 = _ratio(2 * np.diagonal(confusion, axis1=1, axis2=2), occurrences)
    present = occurrences > 0
    return _ratio(np.where(present, f1, 0.0).sum(axis=1), present.sum(axis=1).astype(np.float64))


def quadratic_kappa(confusion: Floats, labels: Floats) -> Floats:
    """Cohen's kappa, a disagreement weighed by the squared distance of the labels.

    Args:
        confusion: Counts, [resamples, reference label, judge label].
        labels: The labels, [labels].
    """
    distances = np.subtract.outer(labels, labels) ** 2
    reference, judge = confusion.sum(axis=2), confusion.sum(axis=1)
    by_chance = np.einsum("rc,ck,rk->r", reference, distances, judge)
    observed = np.einsum("rck,ck->r", confusion, distances)
    return 1 - _ratio(observed * confusion.sum(axis=(1, 2)), by_chance)


def krippendorff_alpha(confusion: Floats) -> Floats:
    """Krippendorff's alpha (ordinal) of two who have both labelled every response.

    Args:
        confusion: Counts, [resamples, reference label, judge label].
    """
    return alpha_of_coincidences(confusion + confusion.swapaxes(1, 2), "ordinal")


def alpha_of_coincidences(
    counts: Floats, level: str = "ordinal", values: Floats | None = None
) -> Floats:
    """Krippendorff's alpha: 1 minus observed over expected disagreement.

    Source: Krippendorff, Computing Krippendorff's Alpha-Reliability (2011).

    Args:
        counts: Coincidences, [resamples, label, label].
        level: "nominal", "ordinal" or "interval".
        values: The labels as numbers, for "interval", [labels]; whole numbers from 0 if None.

    Returns:
        NaN where all labels are the same, [resamples].
    """
    size = counts.shape[1]
    occurrences = counts.sum(axis=2)
    if level == "ordinal":
        # Labels are as far apart as there are values between them, with half of those at the ends.
        middle = np.cumsum(occurrences, axis=1) - occurrences / 2
        distances = (middle[:, :, None] - middle[:, None, :]) ** 2
    elif level == "interval":
        numbers = np.arange(size, dtype=np.float64) if values is None else values
        distances = np.broadcast_to(np.subtract.outer(numbers, numbers) ** 2, counts.shape)
    else:
        distances = np.broadcast_to(1.0 - np.eye(size), counts.shape)
    observed = np.einsum("rck,rck->r", counts, distances)
    expected = np.einsum("rc,rck,rk->r", occurrences, distances, occurrences)
    return 1 - _ratio(observed * (occurrences.sum(axis=1) - 1), expected)


def _ratio(part: Floats, whole: Floats) -> Floats:
    """Divide; NaN where the divisor is zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Floats = np.where(whole == 0, np.nan, part / whole)
    return ratio
