"""What the classifiers of scikit-learn answer, computed from their arrays.

The labels and probabilities are those of `predict` and `predict_proba` of the classifier that the
arrays come from: of `LogisticRegression`, and of `SVC`, which is libsvm. There the labels come from
votes over pairs and the probabilities from another model of each pair, so that they can disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]

LOGISTIC_REGRESSION, SVC = "published_logistic_regression", "published_svc"
PUBLISHED_KINDS = (LOGISTIC_REGRESSION, SVC)
# In this order in the array "kernel".
KERNELS = ("linear", "rbf", "poly", "sigmoid")
_SMALLEST_PAIRWISE = 1e-7
_MOST_STEPS = 100
_PRECISION = 0.005


def standardised(features: Array, arrays: Arrays) -> Array:
    """Standardise features as `StandardScaler.transform` does: in place, and so in float32.

    Args:
        features: [rows, features].
        arrays: Holds "mean" and "scale".

    Returns:
        [rows, features] float32.
    """
    inputs = np.array(features, dtype=np.float32)
    inputs -= arrays["mean"]
    inputs /= arrays["scale"]
    return inputs


# --- logistic regression -------------------------------------------------------------------------


def logistic_labels(inputs: Array, arrays: Arrays) -> Array:
    """The index of each row's label, [rows]."""
    decisions = _logistic_decisions(inputs, arrays)
    if decisions.shape[1] == 1:
        return (decisions[:, 0] > 0).astype(np.int64)
    best: Array = decisions.argmax(axis=1)
    return best


def logistic_probabilities(inputs: Array, arrays: Arrays) -> Array:
    """The probability of each label, [rows, labels] float64."""
    decisions = _logistic_decisions(inputs, arrays)
    one_vs_rest = bool(arrays["one_vs_rest"].any())
    if decisions.shape[1] == 1:
        # A multinomial model of two labels has the decision on either side of its softmax.
        high = expit(decisions if one_vs_rest else 2 * decisions)
        return np.concatenate([1 - high, high], axis=1)
    if one_vs_rest:
        each = expit(decisions)
        rests: Array = each / each.sum(axis=1, keepdims=True)
        return rests
    shares: Array = softmax(decisions, axis=1)
    return shares


def _logistic_decisions(inputs: Array, arrays: Arrays) -> Array:
    decisions: Array = inputs.astype(np.float64) @ arrays["weights"].T + arrays["bias"]
    return decisions


# --- support vector machines ---------------------------------------------------------------------


def svc_labels(inputs: Array, arrays: Arrays) -> Array:
    """The index of each row's label, [rows]: most votes over pairs, the first of equals."""
    decisions = _pair_decisions(inputs, arrays)
    votes = np.zeros((len(inputs), len(arrays["support_counts"])), dtype=np.int64)
    for column, (first, second) in enumerate(_pairs(arrays)):
        wins = decisions[:, column] > 0
        votes[:, first] += wins
        votes[:, second] += ~wins
    winners: Array = votes.argmax(axis=1)
    return winners


def svc_probabilities(inputs: Array, arrays: Arrays) -> Array:
    """The probability of each label, [rows, labels] float64: Platt's sigmoids, coupled."""
    decisions = _pair_decisions(inputs, arrays)
    platt = expit(-(decisions * arrays["platt_a"] + arrays["platt_b"]))
    platt = np.clip(platt, _SMALLEST_PAIRWISE, 1 - _SMALLEST_PAIRWISE)
    labels = len(arrays["support_counts"])
    pairwise = np.zeros((len(inputs), labels, labels))
    for column, (first, second) in enumerate(_pairs(arrays)):
        pairwise[:, first, second] = platt[:, column]
        pairwise[:, second, first] = 1 - platt[:, column]
    return coupled(pairwise)


def coupled(pairwise: Array) -> Array:
    """Couple the probabilities of pairs, as libsvm does.

    It stops near the solution, not at it: a pair within .005 of even stays at one half. Source: Wu,
    Lin and Weng (2004), second method; libsvm, `multiclass_probability`.

    Args:
        pairwise: [rows, labels, labels], at [_, i, j] the probability of i where it is i or j.

    Returns:
        [rows, labels].
    """
    rows, labels, _ = pairwise.shape
    q = -pairwise.transpose(0, 2, 1) * pairwise
    diagonal = (pairwise**2).sum(axis=1)
    q[:, np.arange(labels), np.arange(labels)] = diagonal
    p = np.full((rows, labels), 1 / labels)
    active = np.arange(rows)
    for _ in range(max(_MOST_STEPS, labels)):
        gradient = np.einsum("rij,rj->ri", q[active], p[active])
        level = (p[active] * gradient).sum(axis=1)
        far = np.abs(gradient - level[:, None]).max(axis=1) >= _PRECISION / labels
        active, gradient, level = active[far], gradient[far], level[far]
        if not len(active):
            break
        for label in range(labels):
            step = (level - gradient[:, label]) / diagonal[active, label]
            p[active, label] += step
            slope = step * diagonal[active, label] + 2 * gradient[:, label]
            level = (level + step * slope) / (1 + step) / (1 + step)
            gradient = (gradient + step[:, None] * q[active, label]) / (1 + step)[:, None]
            p[active] /= (1 + step)[:, None]
    return p


def _pairs(arrays: Arrays) -> Iterator[tuple[int, int]]:
    labels = len(arrays["support_counts"])
    return ((i, j) for i in range(labels) for j in range(i + 1, labels))


def _pair_decisions(inputs: Array, arrays: Arrays) -> Array:
    """For each pair of labels which one it is, above zero the first, [rows, pairs]."""
    kernels = _kernels(inputs.astype(np.float64), arrays)
    ends = np.cumsum(arrays["support_counts"])
    groups = [slice(int(a), int(b)) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    dual = arrays["dual"]
    columns = [
        kernels[:, groups[first]] @ dual[second - 1, groups[first]]
        + kernels[:, groups[second]] @ dual[first, groups[second]]
        for first, second in _pairs(arrays)
    ]
    decisions: Array = np.stack(columns, axis=1) + arrays["bias"]
    return decisions


def _kernels(inputs: Array, arrays: Arrays) -> Array:
    """The kernel between each row and each support vector, [rows, support vectors]."""
    vectors = arrays["support_vectors"].astype(np.float64)
    gamma, degree, offset = (float(arrays[name][0]) for name in ("gamma", "degree", "coef0"))
    kernel = KERNELS[int(arrays["kernel"][0])]
    if kernel == "rbf":
        # Row by row: the square of a sum would lose digits, all rows at once would need memory.
        squares = [((vectors - row) ** 2).sum(axis=1) for row in inputs]
        return np.exp(-gamma * np.array(squares).reshape(len(inputs), len(vectors)))
    products: Array = inputs @ vectors.T
    if kernel == "poly":
        products = (gamma * products + offset) ** degree
    elif kernel == "sigmoid":
        products = np.tanh(gamma * products + offset)
    return products


LABELS: Mapping[str, Callable[[Array, Arrays], Array]] = {
    LOGISTIC_REGRESSION: logistic_labels,
    SVC: svc_labels,
}
PROBABILITIES: Mapping[str, Callable[[Array, Arrays], Array]] = {
    LOGISTIC_REGRESSION: logistic_probabilities,
    SVC: svc_probabilities,
}
REQUIRED: Mapping[str, tuple[str, ...]] = {
    LOGISTIC_REGRESSION: ("weights", "bias", "one_vs_rest"),
    SVC: (
        *("support_vectors", "support_counts", "dual", "bias"),
        *("kernel", "gamma", "degree", "coef0"),
    ),
}
