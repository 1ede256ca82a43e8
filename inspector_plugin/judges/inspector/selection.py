"""Choosing a probe: layer, span, pooling and classifier, by cross-validation grouped by problem.

`choose` never sees the rows that score its choice: `nested_probabilities` calls it once for each
outer fold with the other folds' rows alone.

Source: arXiv 2601.22588, layer probing and classifier search. We differ in choosing the layer
inside the folds (the published code chooses it on the test split) and in grouping by problem.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from inspector_plugin.data.folds import split
from inspector_plugin.judges.inspector.classifiers import Array, fit_classifier
from inspector_plugin.judges.inspector.figures import macro_f1
from inspector_plugin.judges.inspector.plan import ClassifierSettings
from inspector_plugin.judges.inspector.probe import ProbeMember, average_probabilities
from inspector_plugin.judges.inspector.representation import Representation
from inspector_plugin.lm.forward import FloatArray

SCREENING = ClassifierSettings("logistic_regression", 0.01, 50)


@dataclass(frozen=True)
class Grid:
    """What a choice is made from.

    Attributes:
        representations: All that are screened.
        classifiers: All that are tried on the best representations.
        members: How many representations a probe averages over.
        folds: Folds of the cross-validation inside a choice.
    """

    representations: tuple[Representation, ...]
    classifiers: tuple[ClassifierSettings, ...]
    members: int = 5
    folds: int = 5


@dataclass(frozen=True)
class Rows:
    """Training rows of one criterion.

    Attributes:
        features: Returns the features of a representation, [rows, features].
        labels: Index of each row's label, [rows].
        groups: The problem that each row belongs to, [rows].
    """

    features: Callable[[Representation], FloatArray]
    labels: Array
    groups: Array

    def take(self, index: Array) -> Rows:
        """The rows of an index."""
        return Rows(
            lambda representation: self.features(representation)[index],
            self.labels[index],
            self.groups[index],
        )


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
        representations: The layers, spans and poolings, the best first.
        settings: The classifier, the same for each of them.
        macro_f1: Its macro F1 in the folds that it was chosen by; too high for a claim.
        screening: Macro F1 of the screening classifier on each representation.
    """

    representations: tuple[Representation, ...]
    settings: ClassifierSettings
    macro_f1: float
    screening: Mapping[Representation, float]


def choose(rows: Rows, grid: Grid, seed: int) -> Choice:
    """Choose representations and a classifier by cross-validated macro F1.

    First every representation is screened with one classifier (logistic regression on 50 principal
    components). Then every classifier is tried on the best few, their probabilities averaged: with
    some hundred rows the single best layer is largely luck, and an average of good ones is not.
    Equal figures go to what comes first in the grid.

    Args:
        rows: The rows.
        grid: What to choose from.
        seed: Seed of the folds and of whatever is random in a classifier.
    """
    folds = split(rows.labels, rows.groups, grid.folds, seed)
    screening = {
        representation: _cross_validate(rows, (representation,), SCREENING, folds, seed)
        for representation in grid.representations
    }
    ranked = sorted(grid.representations, key=lambda representation: -screening[representation])
    best = tuple(ranked[: grid.members])
    figures = [_cross_validate(rows, best, settings, folds, seed) for settings in grid.classifiers]
    winner = int(np.argmax(figures))
    return Choice(best, grid.classifiers[winner], figures[winner], screening)


def fit_members(rows: Rows, choice: Choice, seed: int) -> tuple[ProbeMember, ...]:
    """Fit the classifier of a choice on each of its representations."""
    return tuple(
        ProbeMember(
            representation,
            fit_classifier(
                choice.settings, rows.features(representation), rows.labels, seed, rows.groups
            ),
        )
        for representation in choice.representations
    )


def nested_probabilities(
    rows: Rows, grid: Grid, folds: Sequence[tuple[Array, Array]], seed: int
) -> Array:
    """Judge each fold by a probe that was chosen and fitted on the other folds.

    Args:
        rows: All rows.
        grid: What each choice is made from.
        folds: The outer folds.
        seed: Seed.

    Returns:
        Probabilities, [rows, labels].
    """
    probabilities = np.empty((len(rows.labels), int(rows.labels.max()) + 1))
    for train, test in folds:
        fitting, held_out = rows.take(train), rows.take(test)
        members = fit_members(fitting, choose(fitting, grid, seed), seed)
        probabilities[test] = average_probabilities(members, held_out.features)
    return probabilities


def _cross_validate(
    rows: Rows,
    representations: Sequence[Representation],
    settings: ClassifierSettings,
    folds: Sequence[tuple[Array, Array]],
    seed: int,
) -> float:
    features = [rows.features(representation) for representation in representations]
    predicted = np.empty_like(rows.labels)
    for train, test in folds:
        members = [
            fit_classifier(
                settings, array[train], rows.labels[train], seed, rows.groups[train]
            ).probabilities(array[test])
            for array in features
        ]
        predicted[test] = np.mean(members, axis=0).argmax(axis=1)
    return macro_f1(rows.labels, predicted)
