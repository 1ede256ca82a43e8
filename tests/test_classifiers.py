"""Classifiers as arrays: equal to scikit-learn's own predictions."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning

from inspector_plugin.errors import OptionError, PackError
from inspector_plugin.judges.inspector.classifiers import (
    Array,
    classifier_from_arrays,
    fit_classifier,
    make_estimator,
)
from inspector_plugin.judges.inspector.plan import CLASSIFIERS, ClassifierSettings


def make_rows(labels: int) -> tuple[Array, Array]:
    features, indices = make_classification(
        120, 30, n_informative=12, n_classes=labels, random_state=labels
    )
    return features.astype(np.float32), indices


@pytest.mark.parametrize("components", [None, 8])
@pytest.mark.parametrize("kind", CLASSIFIERS)
@pytest.mark.parametrize("labels", [2, 5])
def test_arrays_predict_as_scikit_learn_does(
    kind: str, labels: int, components: int | None
) -> None:
    features, indices = make_rows(labels)
    settings = ClassifierSettings(kind, 0.3, components)
    unseen = make_rows(labels)[0][::-1] * 0.7
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        probe = fit_classifier(settings, features, indices, seed=0)
        estimator = make_estimator(settings, features.shape, seed=0).fit(features, indices)
    probabilities = probe.probabilities(unseen)
    assert probabilities.shape == (120, labels)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    if kind.endswith("_svm"):
        decisions = estimator.decision_function(unseen)
        if labels == 2:
            decisions = np.stack([-decisions, decisions], axis=1)
        expected = softmax(decisions / probe.arrays["temperature"], axis=1)
    else:
        expected = estimator.predict_proba(unseen)
    np.testing.assert_allclose(probabilities, expected, atol=2e-5)


def test_the_temperature_makes_held_out_labels_likelier() -> None:
    features, indices = make_rows(2)
    noisy = indices.copy()
    noisy[::4] = 1 - noisy[::4]
    settings = ClassifierSettings("linear_svm", 1.0)
    clean = fit_classifier(settings, features, indices, seed=0)
    confused = fit_classifier(settings, features, noisy, seed=0)
    assert confused.arrays["temperature"] > clean.arrays["temperature"] > 0


def test_pca_and_a_linear_classifier_are_kept_as_one_map() -> None:
    features, indices = make_rows(5)
    probe = fit_classifier(ClassifierSettings("logistic_regression", 1, 8), features, indices, 0)
    assert "components" not in probe.arrays
    assert probe.arrays["weights"].shape == (5, 30)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(OptionError, match="Did you mean 'linear_svm'"):
        fit_classifier(ClassifierSettings("linear_swm"), *make_rows(2), seed=0)
    with pytest.raises(PackError, match="Unknown classifier 'exec'"):
        classifier_from_arrays("exec", {})


def test_arrays_that_are_missing_or_not_finite_are_refused() -> None:
    probe = fit_classifier(ClassifierSettings("logistic_regression"), *make_rows(2), seed=0)
    without = {name: array for name, array in probe.arrays.items() if name != "bias"}
    with pytest.raises(PackError, match=r"\['bias'\].*missing"):
        classifier_from_arrays("logistic_regression", without)
    broken = {**probe.arrays, "bias": np.array([np.nan, 0.0])}
    with pytest.raises(PackError, match=r"'bias'.*not finite"):
        classifier_from_arrays("logistic_regression", broken)


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_more_components_than_rows_are_cut_down(kind: str) -> None:
    features, indices = make_rows(2)
    settings = ClassifierSettings(kind, 1, 50)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        probe = fit_classifier(settings, features[:14], indices[:14], seed=0)
    assert probe.probabilities(features).shape == (120, 2)
