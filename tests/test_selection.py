"""Choosing a probe: it finds what is there, and does not find what is not."""

from __future__ import annotations

import numpy as np
import pytest

from inspector_plugin.data.folds import split
from inspector_plugin.judges.inspector import selection
from inspector_plugin.judges.inspector.figures import macro_f1
from inspector_plugin.judges.inspector.plan import ClassifierSettings
from inspector_plugin.judges.inspector.representation import Representation
from inspector_plugin.judges.inspector.selection import (
    Grid,
    Rows,
    choose,
    nested_probabilities,
)
from inspector_plugin.lm.plan import Feature

LAYERS = tuple(Representation(layer, "all", "mean") for layer in range(4))
LOGISTIC = ClassifierSettings("logistic_regression", 0.1)
GRID = Grid(LAYERS, (LOGISTIC, ClassifierSettings("linear_svm", 0.01)), members=1, folds=3)


def make_rows(signal_layer: int | None, count: int = 90) -> Rows:
    """Random features; in one layer, the first feature tells the label."""
    random = np.random.default_rng(0)
    labels = np.arange(count) % 2
    features = random.normal(size=(len(LAYERS), count, 12)).astype(np.float32)
    if signal_layer is not None:
        features[signal_layer, :, 0] += 3 * labels
    groups = np.array([str(index // 2) for index in range(count)])
    return Rows(lambda representation: features[representation.layer], labels, groups)


def test_the_layer_with_the_signal_is_chosen() -> None:
    choice = choose(make_rows(2), GRID, seed=0)
    assert choice.representations == (LAYERS[2],)
    assert set(choice.screening) == set(LAYERS)
    assert choice.screening[LAYERS[2]] == max(choice.screening.values()) > 0.8


def test_nested_cross_validation_is_near_chance_where_there_is_no_signal() -> None:
    rows = make_rows(None, count=200)
    folds = split(rows.labels, rows.groups, 5, seed=0)
    many = Grid(LAYERS, (LOGISTIC,), members=1, folds=3)
    predicted = nested_probabilities(rows, many, folds, seed=0).argmax(axis=1)
    assert 0.35 < macro_f1(rows.labels, predicted) < 0.65


def test_no_choice_sees_the_rows_that_score_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = make_rows(1)
    groups_seen: list[set[str]] = []

    def spy(fitting: Rows, grid: Grid, seed: int) -> selection.Choice:
        groups_seen.append(set(fitting.groups))
        return choose(fitting, grid, seed)

    monkeypatch.setattr(selection, "choose", spy)
    folds = split(rows.labels, rows.groups, 3, seed=0)
    nested_probabilities(rows, GRID, folds, seed=0)
    assert len(groups_seen) == 3
    for seen, (_, test) in zip(groups_seen, folds, strict=True):
        assert not seen & set(rows.groups[test])


def test_folds_keep_a_problem_together_and_labels_balanced() -> None:
    rows = make_rows(None)
    folds = split(rows.labels, rows.groups, 5, seed=3)
    assert sorted(index for _, test in folds for index in test) == list(range(90))
    for train, test in folds:
        assert not set(rows.groups[train]) & set(rows.groups[test])
        assert 0.4 <= rows.labels[test].mean() <= 0.6


def test_members_are_averaged() -> None:
    rows = make_rows(0)
    choice = choose(rows, Grid(LAYERS, (LOGISTIC,), members=3, folds=3), seed=0)
    assert len(set(choice.representations)) == 3
    members = selection.fit_members(rows, choice, seed=0)
    each = [m.classifier.probabilities(rows.features(m.representation)) for m in members]
    average = selection.average_probabilities(members, rows.features)
    np.testing.assert_allclose(average, sum(each) / 3)


def test_the_same_seed_chooses_the_same() -> None:
    rows = make_rows(None)
    assert choose(rows, GRID, seed=5) == choose(rows, GRID, seed=5)


def test_concat_puts_minimum_maximum_and_mean_side_by_side() -> None:
    pooled = {
        Feature(3, "response", name): np.array([[number, 10.0 * number]], dtype=np.float32)
        for number, name in enumerate(("mean", "last", "min", "max"), start=1)
    }
    expected = np.array([[3, 30, 4, 40, 1, 10]])
    np.testing.assert_array_equal(Representation(3, "response", "concat").select(pooled), expected)
