"""Logistic regression as plain arrays: what cross-fitted packs are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

Array = npt.NDArray[np.float64]
_ITERATIONS = 1000
# Features that hardly vary are left as they are instead of being blown up.
_SMALLEST_SCALE = 1e-6


@dataclass(frozen=True)
class LinearModel:
    """Weighted sums of features; the standardisation they were fitted with is multiplied in.

    Attributes:
        weights: [outputs, features]; one output where there are two labels.
        bias: [outputs].
    """

    weights: Array
    bias: Array

    def logits(self, features: Array) -> Array:
        """Return [rows, labels] float64; with two labels the first is 0."""
        found: Array = np.asarray(features, np.float64) @ self.weights.T + self.bias
        if self.weights.shape[0] == 1:
            return np.concatenate([np.zeros_like(found), found], axis=1)
        return found

    def plus(self, other: LinearModel, share: float) -> LinearModel:
        """The model whose logits are this one's and a share of another's, of the same labels."""
        return LinearModel(self.weights + share * other.weights, self.bias + share * other.bias)

    def arrays(self, prefix: str) -> dict[str, npt.NDArray[np.float32]]:
        """Return its arrays by name, as float32."""
        return {
            f"{prefix}.weights": self.weights.astype(np.float32),
            f"{prefix}.bias": self.bias.astype(np.float32),
        }

    @staticmethod
    def from_arrays(
        arrays: Mapping[str, npt.NDArray[Any]], prefix: str, features: int, labels: int
    ) -> LinearModel:
        """Make the model that `arrays` wrote.

        Raises:
            ValueError: If an array is missing, has another shape than the one wanted, is not
                float32 or not finite.
        """
        outputs = 1 if labels == 2 else labels
        return LinearModel(
            finite_array(arrays, f"{prefix}.weights", (outputs, features)),
            finite_array(arrays, f"{prefix}.bias", (outputs,)),
        )


def finite_array(
    arrays: Mapping[str, npt.NDArray[Any]], name: str, shape: tuple[int, ...]
) -> Array:
    """Take an array of a pack as float64.

    Raises:
        ValueError: If it is missing, of another shape or type, or not finite.
    """
    array = arrays.get(name)
    if array is None or array.shape != shape or array.dtype != np.float32:
        found = "nothing" if array is None else f"{array.dtype} {list(array.shape)}"
        raise ValueError(f"{name} is {found}, not float32 {list(shape)}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds a number that is not finite")
    return array.astype(np.float64)


def fit_linear(
    features: Array,
    labels: npt.NDArray[np.int64],
    strength: float,
    emphasis: Array,
    weights: Array | None = None,
) -> LinearModel:
    """Fit a logistic regression on standardised features, the labels weighing the same.

    Args:
        features: [rows, features].
        labels: [rows], 0 up to the number of labels - 1, each occurring.
        strength: Inverse regularisation, C.
        emphasis: What each standardised feature is multiplied by, [features]: a feature of more
            emphasis is regularised less.
        weights: The weight of each row within its label, [rows]; all the same if None.
    """
    mean = features.mean(axis=0, dtype=np.float64)
    spread = np.maximum(features.std(axis=0, dtype=np.float64), _SMALLEST_SCALE)
    scale = spread / emphasis
    own = np.ones(len(labels)) if weights is None else weights
    totals = np.bincount(labels, weights=own)
    own = own * (own.sum() / len(totals) / totals[labels])
    inputs = ((features - mean) / scale).astype(np.float32)
    fitted = LogisticRegression(C=strength, max_iter=_ITERATIONS, tol=1e-3).fit(inputs, labels, own)
    coefficients = fitted.coef_.astype(np.float64) / scale
    return LinearModel(coefficients, fitted.intercept_.astype(np.float64) - coefficients @ mean)
