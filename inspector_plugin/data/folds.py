"""Folds for cross-validation: a problem's rows stay together."""

from __future__ import annotations

import hashlib
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
    # Where no label occurs as often as there are folds, there is nothing to balance.
    _, counts = np.unique(labels, return_counts=True)
    if counts.max() < folds:
        labels = np.zeros_like(labels)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    return list(splitter.split(np.zeros((len(labels), 1)), labels, groups))


def fold_of(identity: str, folds: int = 5) -> int:
    """The fold of a problem: the same for every component, data set and made response.

    Args:
        identity: The problem's `data.problems.problem_identity`.
        folds: Number of folds.

    Returns:
        A number from 0 to `folds - 1`.
    """
    digest = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % folds
