"""From the records of a published classifier's file to named arrays and plain metadata."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from inspector_plugin.errors import PackError
from inspector_plugin.judges.inspector.pickle_records import Instance, Scalar, numbers_in
from inspector_plugin.judges.inspector.published_predictions import (
    KERNELS,
    LOGISTIC_REGRESSION,
    SVC,
    Array,
)

_KIND = {"LogisticRegression": LOGISTIC_REGRESSION, "SVC": SVC}


def arrays_of(model: Any) -> tuple[str, dict[str, Array]]:
    """Return the kind and the arrays of a model as `read_pickle` returns it.

    Raises:
        PackError: If it is none that is known, or not fitted.
    """
    scaler, classifier = _steps(_pipeline(model))
    kind = _KIND[_class(classifier)]
    own = _logistic(classifier) if kind == LOGISTIC_REGRESSION else _svc(classifier)
    return kind, _scaler(scaler) | own


def _class(value: Any) -> str:
    return value.of.name if type(value) is Instance else ""


def _pipeline(value: Any) -> Instance:
    if _class(value) == "GridSearchCV":
        value = value.attributes.get("best_estimator_")
    if _class(value) != "Pipeline":
        raise PackError("it holds neither a fitted GridSearchCV nor a Pipeline")
    found: Instance = value
    return found


def _steps(pipeline: Instance) -> tuple[Instance, Instance]:
    steps = pipeline.attributes.get("steps")
    if type(steps) is not list or any(type(s) is not tuple or len(s) != 2 for s in steps):
        raise PackError("its Pipeline has no steps")
    names = [_class(step[1]) for step in steps]
    if len(names) != 2 or names[0] != "StandardScaler" or names[1] not in _KIND:
        raise PackError(
            f"its Pipeline has the steps {names[:5]}, not StandardScaler and LogisticRegression or "
            "SVC"
        )
    return steps[0][1], steps[1][1]


def _read(instance: Instance, name: str) -> Array:
    """An attribute of numbers, in float64."""
    if name not in instance.attributes:
        raise PackError(f"its {instance.of.name} has no {name}: it was not fitted")
    found: Array = numbers_in(instance.attributes[name], f"{instance.of.name}.{name}")
    with np.errstate(invalid="ignore"):  # a signalling nan; checked() refuses it
        return np.array(found, dtype=np.float64)


def _scaler(scaler: Instance) -> dict[str, Array]:
    stored = scaler.attributes
    width = int(_number(scaler, "n_features_in_"))
    if not 0 < width <= 2**24:
        raise PackError(f"it takes {width} features")
    has_mean, has_scale = stored.get("with_mean") is True, stored.get("with_std") is True
    return {
        "mean": _read(scaler, "mean_") if has_mean else np.zeros(width),
        "scale": _read(scaler, "scale_") if has_scale else np.ones(width),
    }


def _number(instance: Instance, name: str) -> float:
    found = _read(instance, name)
    if found.size != 1 or not np.isfinite(found).all():
        raise PackError(f"{instance.of.name}.{name} is not a number")
    return float(found.reshape(()))


def _classes(classifier: Instance) -> Array:
    return _whole(classifier, "classes_")


def _whole(instance: Instance, name: str) -> Array:
    found = _read(instance, name)
    if found.ndim != 1 or not (np.abs(found) < 2**31).all() or (found != np.round(found)).any():
        raise PackError(f"{instance.of.name}.{name} is not a row of whole numbers")
    return found.astype(np.int64)


def _logistic(classifier: Instance) -> dict[str, Array]:
    classes, weights = _classes(classifier), _read(classifier, "coef_")
    stored = classifier.attributes
    # As scikit-learn 1.6 decides it; 1.8 and later have no `multi_class`.
    how = stored.get("multi_class", "auto")
    usual = len(classes) <= 2 or (stored.get("solver") == "liblinear" and "multi_class" in stored)
    automatic = type(how) is str and how in ("auto", "deprecated", "warn")
    one_vs_rest = how == "ovr" or (automatic and usual) if type(how) is str else False
    bias = _read(classifier, "intercept_")
    if bias.size == 1:
        bias = np.full(weights.shape[:1], bias.reshape(()))
    flag = np.array([one_vs_rest], dtype=np.uint8)
    return {"classes": classes, "weights": weights, "bias": bias, "one_vs_rest": flag}


def _svc(classifier: Instance) -> dict[str, Array]:
    stored = classifier.attributes
    kernel = stored.get("kernel")
    if type(kernel) is not str or kernel not in KERNELS:
        raise PackError(f"its SVC has a kernel other than {', '.join(KERNELS)}")
    for name in ("_sparse", "break_ties"):
        if stored.get(name, False) is not False:
            raise PackError(f"its SVC was fitted with {name.strip('_')}, which is not read")
    number = partial(_number, classifier)
    arrays = {
        "classes": _classes(classifier),
        "support_vectors": _read(classifier, "support_vectors_"),
        "support_counts": _whole(classifier, "_n_support"),
        "dual": _read(classifier, "_dual_coef_"),
        "bias": _read(classifier, "_intercept_"),
        "kernel": np.array([KERNELS.index(kernel)], dtype=np.int64),
        **{
            name: np.array([number(stored_as)])
            for name, stored_as in (("gamma", "_gamma"), ("degree", "degree"), ("coef0", "coef0"))
        },
    }
    platt = {name: _read(classifier, f"_prob{name[-1].upper()}") for name in ("platt_a", "platt_b")}
    # Both are empty where it was fitted without probabilities.
    return arrays | {name: array for name, array in platt.items() if array.size}


def plain_metadata(metadata: Any) -> dict[str, Any]:
    """The metadata as plain values; what is of another form is left out."""
    if type(metadata) is not dict:
        raise PackError("its metadata is no dict")
    plain = {key: _plain(value, depth=2) for key, value in metadata.items() if type(key) is str}
    return {key: value for key, value in plain.items() if value is not None}


def _plain(value: Any, depth: int) -> Any:
    if type(value) is Scalar:
        return numbers_in(value, "metadata").item()
    if type(value) in (bool, int, float, str):
        return value
    if depth and type(value) in (list, tuple) and len(value) <= 1000:
        return [_plain(each, depth - 1) for each in value]
    if depth and type(value) is dict and len(value) <= 1000:
        return {str(key): _plain(each, depth - 1) for key, each in value.items()}
    return None
