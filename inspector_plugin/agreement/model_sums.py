"""The scores of several models added up by problem: what rankings are computed from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ModelSums:
    """Scores added up, [problems, models], and how many there are."""

    scores: Floats
    counts: Floats

    @property
    def means(self) -> Floats:
        """The mean of each problem and model, NaN where there is none, [problems, models]."""
        with np.errstate(invalid="ignore"):
            return self.scores / np.where(self.counts > 0, self.counts, np.nan)


def added_up(
    scores: Floats, models: NDArray[np.intp], problems: NDArray[np.intp], count: int
) -> ModelSums:
    """Add scores up.

    Args:
        scores: The scores, none missing, [rows].
        models: The number of each row's model, [rows].
        problems: The number of each row's problem, [rows].
        count: How many models there are.
    """
    _, codes = np.unique(problems, return_inverse=True)
    shape = (int(codes.max(initial=-1)) + 1, count)
    cells = codes * count + models
    size = shape[0] * shape[1]
    return ModelSums(
        np.bincount(cells, scores, size).astype(np.float64).reshape(shape),
        np.bincount(cells, minlength=size).reshape(shape).astype(np.float64),
    )
