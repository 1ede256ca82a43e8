"""Folds for cross-validation: a problem's rows stay together."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold

Array = npt.NDArray[Any]


def split(labels: Array, groups: Array, folds: int, seed: int) -> list[tuple[Array, Array]]:
    """Split rows into folds that keep a problem's rows together and labels balanced.

    Args:
        labels: Index of each row's label, [rows].
        groups: The problem that each row belongs to, [rows].
        folds: Number of folds.
        seed: Seed of the split.

    Returns:
        For each fold the indices of the rows to fit on and of those held out.
    """
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    return list(splitter.split(np.zeros((len(labels), 1)), labels, groups))
