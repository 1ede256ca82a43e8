"""The classifiers that INSPECTOR published, read from their pickles without unpickling them.

A file holds {"model": a fitted GridSearchCV, "metadata": what it takes in}; the best pipeline of
the search standardises and classifies. What is read is arrays, and what they answer is computed
here: scikit-learn is not needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from inspector_plugin.errors import PackError
from inspector_plugin.judges.inspector.pickle_reader import read_pickle
from inspector_plugin.judges.inspector.published_content import arrays_of, plain_metadata
from inspector_plugin.judges.inspector.published_predictions import (
    KERNELS,
    LABELS,
    LOGISTIC_REGRESSION,
    PROBABILITIES,
    PUBLISHED_KINDS,
    REQUIRED,
    SVC,
    Array,
    Arrays,
    standardised,
)

__all__ = ["PUBLISHED_KINDS", "PublishedClassifier", "checked", "read_classifier"]

_MOST_LABELS = 101
_NO_PROBABILITIES = "it is an SVC that was fitted with probability=False: it knows labels alone"


@dataclass(frozen=True)
class PublishedClassifier:
    """A classifier of theirs as arrays.

    Attributes:
        kind: One of `PUBLISHED_KINDS`.
        arrays: "mean" and "scale" of the standardisation, "classes", and the arrays of the kind.
        metadata: What their file says of it, as plain values; empty if it says nothing.
        scale_labels: The labels that `probabilities` gives; its classes if None.
    """

    kind: str
    arrays: Arrays
    metadata: Mapping[str, Any] = field(default_factory=dict)
    scale_labels: tuple[int, ...] | None = None

    @property
    def features(self) -> int:
        """Number of features it takes."""
        return int(self.arrays["mean"].shape[0])

    @property
    def scaler_mean(self) -> Array:
        """What is subtracted from each feature, [features]."""
        return self.arrays["mean"]

    @property
    def scaler_scale(self) -> Array:
        """What each feature is then divided by, [features]."""
        return self.arrays["scale"]

    @property
    def classes(self) -> Array:
        """The labels that it knows, [classes], in the order of its probabilities."""
        return self.arrays["classes"]

    def predict(self, features: Array) -> Array:
        """Return the label of each row, as their `predict` does.

        For an SVC that is the label with the most votes of its pairwise decisions, which need not
        be the likeliest one.

        Args:
            features: [rows, features] float32.

        Returns:
            [rows] of labels.
        """
        indices = LABELS[self.kind](self._inputs(features), self.arrays)
        labels: Array = self.classes[indices]
        return labels

    def predict_proba(self, features: Array) -> Array:
        """Return the probability of each class, as their `predict_proba` does.

        Args:
            features: [rows, features] float32.

        Returns:
            [rows, classes] float64; each row sums to 1.

        Raises:
            PackError: If it is an SVC that was fitted without probabilities.
        """
        if not self.has_probabilities:
            raise PackError(_NO_PROBABILITIES)
        return PROBABILITIES[self.kind](self._inputs(features), self.arrays)

    @property
    def has_probabilities(self) -> bool:
        """Whether it knows probabilities: an SVC that was fitted without has none."""
        return self.kind != SVC or "platt_a" in self.arrays

    def for_scale(self, labels: Sequence[int]) -> PublishedClassifier:
        """Make it answer on a scale, of whose labels some may not be among its classes.

        Args:
            labels: The labels of the scale, in ascending order.

        Raises:
            PackError: If it knows a label that the scale does not have, or no probabilities.
        """
        unknown = sorted(set(self.classes.tolist()) - set(labels))
        if unknown:
            raise PackError(f"it knows the labels {unknown}, which {list(labels)} does not have")
        if not self.has_probabilities:
            raise PackError(_NO_PROBABILITIES)
        return replace(self, scale_labels=tuple(labels))

    def probabilities(self, features: Array) -> Array:
        """Return the probability of each label of the scale; see `for_scale`."""
        found = self.predict_proba(features)
        if self.scale_labels is None:
            return found
        spread = np.zeros((len(found), len(self.scale_labels)))
        spread[:, [self.scale_labels.index(label) for label in self.classes.tolist()]] = found
        return spread

    def _inputs(self, features: Array) -> Array:
        return standardised(features, self.arrays)


def read_classifier(path: str | Path) -> PublishedClassifier:
    """Read a classifier that INSPECTOR published; nothing in the file is executed.

    Args:
        path: Their pickle: a dict of a model and its metadata, or a model alone, which is a fitted
            GridSearchCV, or a Pipeline of StandardScaler and LogisticRegression or SVC.

    Raises:
        PackError: If the file holds anything else, or a classifier that is not whole.
    """
    path = Path(path)
    model: Any = read_pickle(path)
    metadata: Any = {}
    if type(model) is dict:
        model, metadata = model.get("model"), model.get("metadata", {})
    try:
        kind, arrays = arrays_of(model)
        return checked(PublishedClassifier(kind, arrays, plain_metadata(metadata)))
    except PackError as error:
        raise PackError(f"{path} is not a classifier that can be used: {error}") from error


def checked(classifier: PublishedClassifier) -> PublishedClassifier:
    """Refuse arrays that do not belong together.

    Raises:
        PackError: If one is missing, not finite, or not of the size that the others call for.
    """
    kind, arrays = classifier.kind, classifier.arrays
    missing = [each for each in ("mean", "scale", "classes", *REQUIRED[kind]) if each not in arrays]
    if missing:
        raise PackError(f"the arrays {missing} of the {kind} classifier are missing")
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise PackError(f"{name} holds numbers that are not finite")
    if not (arrays["scale"] != 0).all():
        raise PackError("a feature is divided by zero")
    classes = arrays["classes"]
    if classes.ndim != 1 or not 2 <= len(classes) <= _MOST_LABELS or (np.diff(classes) <= 0).any():
        raise PackError("its classes are not two or more labels in ascending order")
    for name, shape in _shapes(kind, arrays).items():
        if arrays[name].shape != shape:
            raise PackError(f"{name} has the shape {arrays[name].shape}, not {shape}")
    if kind == SVC:
        counts = arrays["support_counts"]
        if (counts < 0).any() or int(counts.sum()) != len(arrays["support_vectors"]):
            raise PackError("support vectors and their numbers do not fit each other")
        if not 0 <= int(arrays["kernel"][0]) < len(KERNELS):
            raise PackError("its kernel is not known")
        if ("platt_a" in arrays) != ("platt_b" in arrays):
            raise PackError("half of its probabilities is missing")
    return classifier


def _shapes(kind: str, arrays: Arrays) -> dict[str, tuple[int, ...]]:
    """What shape each array must have."""
    labels, width = len(arrays["classes"]), arrays["mean"].size
    shapes: dict[str, tuple[int, ...]] = {"mean": (width,), "scale": (width,)}
    if kind == LOGISTIC_REGRESSION:
        rows = 1 if labels == 2 else labels
        return shapes | {"weights": (rows, width), "bias": (rows,), "one_vs_rest": (1,)}
    pairs, vectors = labels * (labels - 1) // 2, arrays["support_vectors"].shape[:1]
    shapes |= {"support_counts": (labels,), "bias": (pairs,), "support_vectors": (*vectors, width)}
    shapes |= {"dual": (labels - 1, *vectors)}
    shapes |= dict.fromkeys(("kernel", "gamma", "degree", "coef0"), (1,))
    return shapes | {name: (pairs,) for name in ("platt_a", "platt_b") if name in arrays}
