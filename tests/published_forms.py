"""Classifiers in the form that INSPECTOR published, fitted by the tests, and their pickles."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

CLASSIFIERS = {
    "lr": (lambda: LogisticRegression(max_iter=300, class_weight="balanced"), (0.01, 1.0)),
    "lr_liblinear": (lambda: LogisticRegression(solver="liblinear"), (0.1, 1.0)),
    "lr_no_intercept": (lambda: LogisticRegression(fit_intercept=False), (0.1, 1.0)),
    "linear_svm": (lambda: _svc(kernel="linear", random_state=42), (0.01, 1.0)),
    "rbf_svm": (lambda: _svc(random_state=np.random.RandomState(3)), (0.1, 10.0)),
    "poly_svm": (lambda: _svc(kernel="poly", degree=2, coef0=1.0), (0.1, 1.0)),
    "sigmoid_svm": (lambda: _svc(kernel="sigmoid", gamma=0.01), (10.0, 100.0)),
}


def _svc(**settings: Any) -> SVC:
    return SVC(probability=True, class_weight="balanced", **settings)


def random_rows(labels: tuple[int, ...], rows: int = 80, width: int = 12) -> tuple[Any, Any]:
    """Features in float32 that say a little about the labels, which are unequally frequent."""
    random = np.random.default_rng(len(labels))
    answers = np.array(labels)[random.integers(len(labels) + 1, size=rows) % len(labels)]
    features = random.normal(size=(rows, width)) * random.uniform(0.1, 20, size=width)
    features[:, 0] += 8 * answers
    return features.astype(np.float32), answers


def fit_search(name: str, features: Any, labels: Any, **settings: Any) -> GridSearchCV:
    """Fit a search over pipelines as theirs, on features in float32."""
    make, strengths = CLASSIFIERS[name]
    pipeline = Pipeline([("scaler", StandardScaler()), ("clf", make())])
    folds = StratifiedKFold(2, shuffle=True, random_state=1)
    given = {"cv": folds, "scoring": "f1_macro", **settings}
    search = GridSearchCV(pipeline, {"clf__C": list(strengths)}, **given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SVC(probability=True) is on its way out
        return search.fit(features, labels)


def describe(**changes: Any) -> dict[str, Any]:
    """Metadata as in their files."""
    return {
        "llm": "Qwen/Qwen3-1.7B",
        "dimension": "fluency",
        "classification": "binary",
        "layers": [1],
        "pool": "mean",
        "use_attn": False,
        "clf_name": "lr",
        "best_params": {"clf__C": 0.01},
        "best_score": np.float64(0.75),
        "timestamp": "2025-01-01T00:00:00",
        **changes,
    }


def dump(
    path: Path, model: Any, metadata: Mapping[str, Any] | None = None, **settings: Any
) -> Path:
    """Pickle a model with its metadata, as they do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"model": model, "metadata": dict(metadata or describe())}
    path.write_bytes(pickle.dumps(content, **settings))
    return path
