"""Probe classifiers: fitted with scikit-learn, kept and applied as plain arrays.

A fitted classifier is a set of named arrays and a few lines of NumPy, so that a pack on disk holds
numbers only and loading one runs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from inspector_plugin.data.folds import split
from inspector_plugin.errors import OptionError, PackError, one_of
from inspector_plugin.judges.inspector.plan import CLASSIFIERS, ClassifierSettings
from inspector_plugin.judges.inspector.published import (
    PUBLISHED_KINDS,
    PublishedClassifier,
    checked,
)

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class ProbeClassifier:
    """A fitted classifier as arrays.

    Attributes:
        kind: One of `CLASSIFIERS`.
        arrays: "mean" and "scale" of the standardisation, "components" where there is a PCA, and
            the arrays of the kind.
    """

    kind: str
    arrays: Arrays

    @property
    def features(self) -> int:
        """Number of features it takes."""
        return int(self.arrays["mean"].shape[0])

    def probabilities(self, features: Array) -> Array:
        """Return the probability of each label.

        Args:
            features: [rows, features].

        Returns:
            [rows, labels] float64; each row sums to 1.
        """
        arrays = self.arrays
        inputs = (np.asarray(features, np.float64) - arrays["mean"]) / arrays["scale"]
        if "components" in arrays:
            inputs = (inputs - arrays["components_mean"]) @ arrays["components"].T
        result: Array = _PREDICT[self.kind](inputs, arrays)
        return result


def fit_classifier(
    settings: ClassifierSettings,
    features: Array,
    labels: Array,
    seed: int,
    groups: Array | None = None,
) -> ProbeClassifier:
    """Fit a classifier.

    Args:
        settings: What to fit.
        features: [rows, features].
        labels: [rows], the index of each row's label, 0 up to the number of labels - 1, each
            occurring at least once.
        seed: Seed of whatever is random.
        groups: The problem that each row belongs to, [rows]; each its own if None.

    Raises:
        OptionError: If there is no such kind of classifier.
    """
    pipeline = make_estimator(settings, features.shape, seed)
    pipeline.fit(features, labels)
    arrays = {"mean": pipeline["standardscaler"].mean_, "scale": pipeline["standardscaler"].scale_}
    arrays.update(_EXPORT[settings.kind](pipeline[-1]))
    if "pca" in pipeline.named_steps:
        _add_components(arrays, pipeline["pca"], settings.kind)
    if settings.kind in ("linear_svm", "rbf_svm"):
        own = np.arange(len(labels)) if groups is None else groups
        arrays["temperature"] = _temperature(settings, features, labels, own, seed)
    kept = {
        name: array.astype(np.float32) if array.dtype == np.float64 else array
        for name, array in arrays.items()
    }
    return ProbeClassifier(settings.kind, kept)


def make_estimator(settings: ClassifierSettings, shape: tuple[int, ...], seed: int) -> Pipeline:
    """Make the scikit-learn pipeline: standardise, reduce, classify.

    Args:
        settings: What to make.
        shape: Rows and features that it will be fitted on, which bound the components.
        seed: Seed of whatever is random.
    """
    if settings.kind not in CLASSIFIERS:
        raise OptionError(one_of(settings.kind, CLASSIFIERS, "classifier"))
    steps: list[Any] = [StandardScaler()]
    if settings.components is not None:
        components = min(settings.components, shape[0] - 1, shape[1])
        steps.append(PCA(components, svd_solver="full"))
    return make_pipeline(*steps, _estimator(settings, seed))


def _estimator(settings: ClassifierSettings, seed: int) -> Any:
    strength = settings.strength
    if settings.kind == "logistic_regression":
        return LogisticRegression(C=strength, class_weight="balanced", max_iter=1000)
    if settings.kind == "linear_svm":
        return LinearSVC(C=strength, class_weight="balanced", max_iter=5000, random_state=seed)
    if settings.kind == "rbf_svm":
        return OneVsRestClassifier(SVC(C=strength, class_weight="balanced"))
    if settings.kind == "random_forest":
        return RandomForestClassifier(
            n_estimators=max(1, round(100 * strength)), class_weight="balanced", random_state=seed
        )
    return MLPClassifier((32,), alpha=1 / strength, max_iter=500, random_state=seed)


def _add_components(arrays: dict[str, Array], pca: PCA, kind: str) -> None:
    if kind in ("logistic_regression", "linear_svm"):
        # Two linear maps in a row are one, which takes far less room than the components.
        arrays["weights"] = arrays["weights"] @ pca.components_
        arrays["bias"] = arrays["bias"] - arrays["weights"] @ pca.mean_
    else:
        arrays["components"] = pca.components_
        arrays["components_mean"] = pca.mean_


def _temperature(
    settings: ClassifierSettings, features: Array, labels: Array, groups: Array, seed: int
) -> Array:
    """Scale decision values into probabilities, by the likelihood of rows of other problems.

    Returns:
        [1]; 1 where there are too few problems to hold some of every label out.
    """
    occurring = range(int(labels.max()) + 1)
    folds = min(3, *(len(np.unique(groups[labels == label])) for label in occurring))
    if folds < 2:
        return np.array([1.0])
    splits = split(labels, groups, folds, seed)
    if any(len(np.unique(labels[train])) < len(occurring) for train, _ in splits):
        return np.array([1.0])
    fewest = min(len(train) for train, _ in splits)
    estimator = make_estimator(settings, (fewest, features.shape[1]), seed)
    method = "decision_function"
    decisions = _both_sides(
        cross_val_predict(estimator, features, labels, cv=splits, method=method)
    )

    def loss(log_temperature: float) -> float:
        logs = log_softmax(decisions / np.exp(log_temperature), axis=1)
        return -float(logs[np.arange(len(labels)), labels].mean())

    return np.array([np.exp(minimize_scalar(loss, bounds=(-5, 5), method="bounded").x)])


def _softmax(logits: Array) -> Array:
    probabilities: Array = softmax(logits, axis=1)
    return probabilities


def _both_sides(decisions: Array) -> Array:
    """Give a two-label decision value one column a label, as with more labels."""
    return np.stack([-decisions, decisions], axis=1) if decisions.ndim == 1 else decisions


# --- one exporter and one predictor for each kind ------------------------------------------------


def _export_linear(estimator: Any) -> dict[str, Array]:
    weights, bias = estimator.coef_, estimator.intercept_
    if len(weights) == 1:
        # Half on each side makes the softmax of both equal the logistic function of one.
        half = 0.5 if isinstance(estimator, LogisticRegression) else 1.0
        weights = np.concatenate([-half * weights, half * weights])
        bias = np.concatenate([-half * bias, half * bias])
    return {"weights": weights, "bias": bias}


def _predict_logistic(inputs: Array, arrays: Arrays) -> Array:
    return _softmax(inputs @ arrays["weights"].T + arrays["bias"])


def _predict_linear_svm(inputs: Array, arrays: Arrays) -> Array:
    decisions = inputs @ arrays["weights"].T + arrays["bias"]
    return _softmax(decisions / arrays["temperature"])


def _export_rbf(estimator: Any) -> dict[str, Array]:
    machines = estimator.estimators_
    used = np.unique(np.concatenate([machine.support_ for machine in machines]))
    vectors = np.zeros((len(used), machines[0].shape_fit_[1]))
    dual = np.zeros((len(machines), len(used)))
    for row, machine in enumerate(machines):
        position = np.searchsorted(used, machine.support_)
        vectors[position] = machine.support_vectors_
        dual[row, position] = machine.dual_coef_[0]
    return {
        "support_vectors": vectors,
        "dual": dual,
        "bias": np.concatenate([machine.intercept_ for machine in machines]),
        "gamma": np.array([machine._gamma for machine in machines]),
    }


def _predict_rbf(inputs: Array, arrays: Arrays) -> Array:
    vectors = arrays["support_vectors"].astype(np.float64)
    squares = (inputs**2).sum(1)[:, None] + (vectors**2).sum(1)[None] - 2 * inputs @ vectors.T
    kernels = np.exp(-arrays["gamma"][:, None, None] * squares[None])
    decisions = np.einsum("krv,kv->rk", kernels, arrays["dual"]) + arrays["bias"]
    if decisions.shape[1] == 1:
        decisions = _both_sides(decisions[:, 0])
    return _softmax(decisions / arrays["temperature"])


def _export_forest(estimator: Any) -> dict[str, Array]:
    trees = [tree.tree_ for tree in estimator.estimators_]
    nodes = max(tree.node_count for tree in trees)

    def padded(values: Callable[[Any], Array]) -> Array:
        rows = [values(tree) for tree in trees]
        widths = [[(0, nodes - len(row))] + [(0, 0)] * (row.ndim - 1) for row in rows]
        return np.stack([np.pad(row, width) for row, width in zip(rows, widths, strict=True)])

    return {
        "left": padded(lambda tree: tree.children_left.astype(np.int32)),
        "right": padded(lambda tree: tree.children_right.astype(np.int32)),
        "feature": padded(lambda tree: tree.feature.astype(np.int32)),
        "threshold": padded(lambda tree: tree.threshold),
        "value": padded(lambda tree: tree.value[:, 0, :]),
    }


def _predict_forest(inputs: Array, arrays: Arrays) -> Array:
    # scikit-learn compares float32 inputs with its thresholds.
    inputs = inputs.astype(np.float32)
    trees = np.arange(len(arrays["left"]))
    node = np.zeros((len(inputs), len(trees)), dtype=np.int64)
    rows = np.arange(len(inputs))[:, None]
    # A node's children come after it, so every walk ends within the number of nodes.
    for _ in range(arrays["left"].shape[1]):
        left, feature = arrays["left"][trees, node], arrays["feature"][trees, node]
        inner = left > node
        if not inner.any():
            break
        below = inputs[rows, np.where(inner, feature, 0)] <= arrays["threshold"][trees, node]
        child = np.where(below, left, arrays["right"][trees, node])
        node = np.where(inner, child, node)
    values = arrays["value"][trees, node].mean(axis=1, dtype=np.float64)
    shares: Array = values / values.sum(axis=1, keepdims=True)
    return shares


def _export_mlp(estimator: Any) -> dict[str, Array]:
    arrays = {}
    for index, (weights, bias) in enumerate(
        zip(estimator.coefs_, estimator.intercepts_, strict=True)
    ):
        arrays[f"weights_{index}"], arrays[f"bias_{index}"] = weights, bias
    return arrays


def _predict_mlp(inputs: Array, arrays: Arrays) -> Array:
    hidden = np.maximum(inputs @ arrays["weights_0"] + arrays["bias_0"], 0)
    output = hidden @ arrays["weights_1"] + arrays["bias_1"]
    if output.shape[1] == 1:
        output = _both_sides(output[:, 0] / 2)
    return _softmax(output)


_EXPORT: Mapping[str, Callable[[Any], dict[str, Array]]] = {
    "logistic_regression": _export_linear,
    "linear_svm": _export_linear,
    "rbf_svm": _export_rbf,
    "random_forest": _export_forest,
    "mlp": _export_mlp,
}
_PREDICT: Mapping[str, Callable[[Array, Arrays], Array]] = {
    "logistic_regression": _predict_logistic,
    "linear_svm": _predict_linear_svm,
    "rbf_svm": _predict_rbf,
    "random_forest": _predict_forest,
    "mlp": _predict_mlp,
}
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "logistic_regression": ("weights", "bias"),
    "linear_svm": ("weights", "bias", "temperature"),
    "rbf_svm": ("support_vectors", "dual", "bias", "gamma", "temperature"),
    "random_forest": ("left", "right", "feature", "threshold", "value"),
    "mlp": ("weights_0", "bias_0", "weights_1", "bias_1"),
}


def classifier_from_arrays(kind: str, arrays: Arrays) -> ProbeClassifier | PublishedClassifier:
    """Make a classifier of the arrays in a pack.

    Raises:
        PackError: If the kind is unknown or an array is missing or holds a number that is not
            finite.
    """
    if kind in PUBLISHED_KINDS:
        return checked(PublishedClassifier(kind, arrays))
    if kind not in CLASSIFIERS:
        raise PackError(one_of(kind, (*CLASSIFIERS, *PUBLISHED_KINDS), "classifier"))
    missing = [name for name in ("mean", "scale", *_REQUIRED[kind]) if name not in arrays]
    if missing:
        raise PackError(f"The arrays {missing} of the {kind} classifier are missing.")
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise PackError(f"Array {name!r} of the {kind} classifier is not finite.")
    return ProbeClassifier(kind, arrays)
