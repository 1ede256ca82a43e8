"""Whether the arrays of a classifier belong together, before it judges by them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from inspector_plugin.errors import PackError

Arrays = Mapping[str, npt.NDArray[Any]]
_WHOLE = ("left", "right", "feature")


def check_arrays(kind: str, arrays: Arrays, labels: int) -> None:
    """Refuse arrays of wrong shapes and types, or that divide by zero.

    Args:
        kind: The kind of classifier; all arrays that it needs are there, and finite.
        arrays: The arrays.
        labels: How many labels it has to tell apart.

    Raises:
        PackError: If one does not fit the others.
    """
    for name, array in arrays.items():
        if array.dtype.kind not in ("iu" if name in _WHOLE else "f"):
            raise PackError(f"array {name!r} of the {kind} classifier is of type {array.dtype}")
    for name, shape in _shapes(kind, arrays, labels).items():
        if arrays[name].shape != shape or 0 in shape:
            raise PackError(
                f"array {name!r} of the {kind} classifier has the shape {arrays[name].shape}, not "
                f"{shape}"
            )
    for name in ("scale", "temperature", "gamma"):
        if name in arrays and not (arrays[name] > 0).all():
            raise PackError(f"array {name!r} of the {kind} classifier holds what is not positive")
    if kind == "random_forest":
        _check_trees(arrays, _width(arrays))


def _shapes(kind: str, arrays: Arrays, labels: int) -> dict[str, tuple[int, ...]]:
    """What shape each array must have."""
    features, width = arrays["mean"].size, _width(arrays)
    shapes: dict[str, tuple[int, ...]] = {"mean": (features,), "scale": (features,)}
    if "components" in arrays:
        shapes |= {"components": (width, features), "components_mean": (features,)}
        if "components_mean" not in arrays:
            raise PackError(f"array 'components_mean' of the {kind} classifier is missing")
    if "temperature" in arrays:
        shapes["temperature"] = (1,)
    sides = 1 if labels == 2 else labels
    if kind in ("logistic_regression", "linear_svm"):
        return shapes | {"weights": (labels, width), "bias": (labels,)}
    if kind == "rbf_svm":
        vectors = len(np.atleast_1d(arrays["support_vectors"]))
        shapes |= {"support_vectors": (vectors, width), "dual": (sides, vectors)}
        return shapes | {"bias": (sides,), "gamma": (sides,)}
    if kind == "mlp":
        hidden = arrays["bias_0"].size
        shapes |= {"weights_0": (width, hidden), "bias_0": (hidden,)}
        return shapes | {"weights_1": (hidden, sides), "bias_1": (sides,)}
    nodes = arrays["left"].shape
    if len(nodes) != 2:
        raise PackError(f"array 'left' of the {kind} classifier is not one of trees and nodes")
    shapes |= dict.fromkeys(("left", "right", "feature", "threshold"), nodes)
    return shapes | {"value": (*nodes, labels)}


def _width(arrays: Arrays) -> int:
    """What a classifier takes in after standardising and reducing."""
    given = arrays.get("components")
    return arrays["mean"].size if given is None else len(np.atleast_1d(given))


def _check_trees(arrays: Arrays, width: int) -> None:
    nodes = np.arange(arrays["left"].shape[1])
    inner = arrays["left"] > nodes
    for name in ("left", "right"):
        child = arrays[name][inner]
        if ((child < 0) | (child >= len(nodes))).any():
            raise PackError(f"array {name!r} of the random_forest classifier names no node")
    feature = arrays["feature"][inner]
    if ((feature < 0) | (feature >= width)).any():
        raise PackError("array 'feature' of the random_forest classifier names no feature")
    leaves = arrays["value"][arrays["left"] < 0]  # what only fills a row up has a 0 there
    if (arrays["value"] < 0).any() or not (leaves.sum(axis=-1) > 0).all():
        raise PackError("array 'value' of the random_forest classifier holds no shares")
