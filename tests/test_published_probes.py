"""Classifiers that INSPECTOR published: they answer as theirs do, read without unpickling."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from published_forms import CLASSIFIERS, dump, fit_search, random_rows
from published_runs import TEMPLATE, quiet
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from inspector_plugin.cli.main import main
from inspector_plugin.errors import PackError
from inspector_plugin.judges.inspector.packs import read_pack
from inspector_plugin.judges.inspector.published import read_classifier
from inspector_plugin.judges.inspector.published_predictions import coupled
from inspector_plugin.schema.roscoe import ROSCOE_KEYS

PUBLISHED = Path(__file__).resolve().parents[2] / "shared/data/published-probes"
needs_published = pytest.mark.skipif(
    not (PUBLISHED / "answers.json").is_file(),
    reason=f"the published classifiers are not in {PUBLISHED}",
)


# --- the real files ------------------------------------------------------------------------------


@needs_published
def test_the_published_classifiers_answer_as_they_should() -> None:
    answers = json.loads((PUBLISHED / "answers.json").read_text(encoding="utf-8"))
    assert len(answers) == 7
    for name, expected in answers.items():
        classifier = read_classifier(PUBLISHED / name)
        assert classifier.metadata == expected["metadata"]
        assert classifier.classes.tolist() == expected["classes"]
        random = np.random.default_rng(0).normal(size=(12, expected["n_features"]))
        features = np.float32(classifier.scaler_mean + classifier.scaler_scale * random)
        assert classifier.predict(features).tolist() == expected["labels"], name
        found = classifier.predict_proba(features)
        np.testing.assert_allclose(found, expected["probabilities"], rtol=0, atol=1e-5)


@needs_published
def test_the_published_classifiers_become_packs(tmp_path: Path, capsys: Any) -> None:
    template = tmp_path / "prompt.txt"
    template.write_text(TEMPLATE, encoding="utf-8")
    command = ["probes", "import", str(PUBLISHED), "--model", "Qwen/Qwen3-1.7B"]
    command += ["--out", str(tmp_path / "packs")]
    assert main(command) == 1
    assert "--template FILE" in capsys.readouterr().err
    assert not (tmp_path / "packs").exists()
    assert main([*command, "--template", str(template)]) == 0
    written = capsys.readouterr()
    assert "14, 25" in written.out
    root = tmp_path / "packs/qwen3-1.7b/gsm8k"
    pack = read_pack(root / "binary")
    assert list(pack.probes) == list(ROSCOE_KEYS)
    assert pack.language_model["hidden_size"] == 2048
    assert pack.language_model["layers"] == 28
    assert set(read_pack(root / "multiclass").probes) == {"logicality", "semantic_consistency"}
    assert main([*command[:4], "Qwen/Qwen3-4B", *command[5:], "--template", str(template)]) == 1
    assert "is for 'Qwen/Qwen3-1.7B'" in capsys.readouterr().err


# --- classifiers of our own in the same form ------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        (name, labels)
        for name in CLASSIFIERS
        for labels in ((0, 1), (1, 2, 3), (1, 2, 3, 4, 5))
        if name != "lr_liblinear" or len(labels) == 2  # scikit-learn fits no others with it
    ],
)
def test_a_classifier_answers_as_scikit_learn_does(
    name: str, labels: tuple[int, ...], tmp_path: Path
) -> None:
    features, answers = random_rows(labels)
    search = fit_search(name, features, answers)
    more = np.concatenate([features, random_rows(labels, rows=300)[0][80:]])
    found = read_classifier(dump(tmp_path / "a.pkl", search, protocol=4))
    np.testing.assert_array_equal(found.predict(more), search.predict(more))
    expected = quiet(search.predict_proba, more)
    np.testing.assert_allclose(found.predict_proba(more), expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.scaler_mean, search.best_estimator_[0].mean_)
    np.testing.assert_allclose(found.scaler_scale, search.best_estimator_[0].scale_)
    assert len(set(found.predict(more))) == len(labels)


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_every_protocol_and_order_of_bytes_is_read(protocol: int, tmp_path: Path) -> None:
    features, answers = random_rows((1, 2, 3))
    search = fit_search("linear_svm", features, answers)
    expected, scaler = search.predict(features), search.best_estimator_[0]
    scaler.mean_ = scaler.mean_.astype(">f8")
    search.best_estimator_[1].support_vectors_ = np.asfortranarray(
        search.best_estimator_[1].support_vectors_
    )
    found = read_classifier(dump(tmp_path / "a.pkl", search, protocol=protocol))
    np.testing.assert_array_equal(found.predict(features), expected)
    np.testing.assert_array_equal(found.scaler_mean, scaler.mean_)
    assert found.metadata["best_score"] == 0.75
    assert found.metadata["layers"] == [1]


def test_a_pipeline_alone_and_a_scaler_that_does_nothing(tmp_path: Path) -> None:
    features, answers = random_rows((0, 1))
    search = fit_search("lr", features, answers)
    pipeline = search.best_estimator_
    found = read_classifier(dump(tmp_path / "a.pkl", pipeline))
    np.testing.assert_array_equal(found.predict(features), pipeline.predict(features))
    pipeline.set_params(scaler__with_mean=False, scaler__with_std=False)
    pipeline.fit(features, answers)
    found = read_classifier(dump(tmp_path / "a.pkl", pipeline))
    np.testing.assert_array_equal(found.predict(features), pipeline.predict(features))


def test_how_older_versions_chose_between_softmax_and_one_vs_rest(tmp_path: Path) -> None:
    """Version 1.6 has `multi_class`; the expected values are its formulas, by hand."""
    features, answers = random_rows((1, 2, 3))
    search = fit_search("lr", features, answers)
    model = search.best_estimator_[1]
    scaled = (features - search.best_estimator_[0].mean_) / search.best_estimator_[0].scale_
    decisions = scaled @ model.coef_.T + model.intercept_
    sigmoid = 1 / (1 + np.exp(-decisions))
    model.multi_class = "ovr"
    found = read_classifier(dump(tmp_path / "a.pkl", search)).predict_proba(features)
    expected = sigmoid / sigmoid.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    model.multi_class = "deprecated"
    found = read_classifier(dump(tmp_path / "a.pkl", search)).predict_proba(features)
    expected = np.exp(decisions) / np.exp(decisions).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_coupling_stops_where_libsvm_does() -> None:
    """A pair within .0025 of one half is left there; any other pair is solved, by hand."""
    near, far = np.array([[0, 0.502], [0.498, 0]]), np.array([[0, 0.7], [0.3, 0]])
    np.testing.assert_allclose(coupled(np.stack([near, far])), [[0.5, 0.5], [0.7, 0.3]], atol=1e-3)


def test_what_cannot_be_used_is_refused_by_name(tmp_path: Path) -> None:
    features, answers = random_rows((0, 1))
    search = fit_search("lr", features, answers)
    path = tmp_path / "a.pkl"

    def refuse(model: Any, message: str) -> None:
        with pytest.raises(PackError, match=message):
            read_classifier(dump(path, model))

    forest = Pipeline([("s", StandardScaler()), ("c", RandomForestClassifier(2))])
    refuse(forest.fit(features, answers), r"sklearn\.ensemble\._forest\.RandomForestClassifier")
    other = Pipeline([("s", MinMaxScaler()), ("c", search.best_estimator_[1])])
    refuse(other, r"sklearn\.preprocessing\._data\.MinMaxScaler")
    refuse(StandardScaler().fit(features), "neither a fitted GridSearchCV nor a Pipeline")
    refuse(Pipeline([("c", search.best_estimator_[1])]), "steps")
    refuse(Pipeline([("s", StandardScaler()), ("c", search.best_estimator_[1])]), "not fitted")
    search.best_estimator_[0].scale_ = search.best_estimator_[0].scale_[:-1]
    refuse(search, "scale has the shape")
    search.best_estimator_[0].scale_ = np.zeros(12)
    refuse(search, "divided by zero")
    search.best_estimator_[0].scale_ = np.full(12, np.nan)
    refuse(search, "not finite")


def test_an_svc_without_probabilities_has_labels_alone(tmp_path: Path) -> None:
    features, answers = random_rows((0, 1))
    search = fit_search("linear_svm", features, answers)
    pipeline = search.best_estimator_.set_params(clf__probability=False)
    quiet(lambda rows: pipeline.fit(rows, answers), features)
    found = read_classifier(dump(tmp_path / "gsm8k_binary_clfs/a.pkl", pipeline))
    np.testing.assert_array_equal(found.predict(features), pipeline.predict(features))
    with pytest.raises(PackError, match="probability=False"):
        found.predict_proba(features)
