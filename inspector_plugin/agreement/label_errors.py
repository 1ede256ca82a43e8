"""How far off a judge is likely to be, by how unsure it is and whether its score is flagged."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from inspector_plugin.agreement.corrected import LabelledSample, corrected_mean

Floats = NDArray[np.float64]

# Errors of a judge that is always right in the pilot are taken to be as small as this, not 0.
_SMALLEST = 1e-12


@dataclass(frozen=True)
class ErrorModel:
    """How far the reference lies from what the judge's scores make one expect.

    Attributes:
        sizes: The error to expect of each row, as a standard deviation, [rows].
        spread: Standard deviation of the reference over all rows.
        of_unsure: Part of the squared error that goes with the judge's doubt, 1 - confidence.
        of_flags: Part of the squared error that goes with flags.
    """

    sizes: Floats
    spread: float
    of_unsure: float
    of_flags: float


def error_model(
    sample: LabelledSample,
    unsure: Floats,
    flagged: NDArray[np.bool_],
    unsure_of_all: Floats | None = None,
    flagged_of_all: NDArray[np.bool_] | None = None,
) -> ErrorModel:
    """Fit squared errors in a pilot: a constant, plus what doubt and flags add, none below 0.

    Args:
        sample: The judge's scores, and the labels of the pilot.
        unsure: 1 minus the judge's confidence in its label, 0 where it gives none, [rows].
        flagged: Whether the judge's score has a flag, [rows].
        unsure_of_all: The same of the rows to plan for; those of the sample if None.
        flagged_of_all: The same of the rows to plan for; those of the sample if None.

    Raises:
        ValueError: If the pilot is too small or without variation; the message says why.
    """
    mean = corrected_mean(sample)
    if mean.reason is not None or mean.labels_only is None:
        raise ValueError(mean.reason)
    chosen, weights = sample.labelled, sample.normalised_weights[sample.labelled]
    reference = sample.reference[chosen] - mean.labels_only.value
    judge = sample.judge[chosen] - float(weights @ sample.judge[chosen] / weights.sum())
    varies = float(weights @ judge**2)
    slope = float(weights @ (reference * judge)) / varies if varies else 0.0
    errors = (reference - slope * judge) ** 2 * len(weights) / (len(weights) - 2)
    roots = np.sqrt(weights)
    parts, _ = nnls(_signs(unsure, flagged)[chosen] * roots[:, None], errors * roots)
    average = float(weights @ errors / weights.sum())
    wanted = _signs(
        unsure if unsure_of_all is None else unsure_of_all,
        flagged if flagged_of_all is None else flagged_of_all,
    )
    # A row that seems free of error still has some chance to be wrong.
    squares = np.maximum(wanted @ parts, max(average / 100, _SMALLEST))
    variance = float(weights @ reference**2 / weights.sum())
    spread = math.sqrt(variance * len(weights) / (len(weights) - 1))
    return ErrorModel(np.sqrt(squares), spread, float(parts[1]), float(parts[2]))


def _signs(unsure: Floats, flagged: NDArray[np.bool_]) -> Floats:
    return np.column_stack([np.ones(len(unsure)), unsure, flagged.astype(np.float64)])
