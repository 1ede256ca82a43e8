"""The figures beside a probe: nested cross-validation, surface baselines and chance, same folds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.metrics import f1_score

from inspector_plugin.agreement.compare import Agreement, agreement
from inspector_plugin.data.scored_rows import ScoredRow, problems_of
from inspector_plugin.judges.inspector.classifiers import Array
from inspector_plugin.judges.inspector.surface import predict_from_counts, predict_from_words
from inspector_plugin.schema.criteria import Scale
from inspector_plugin.schema.records import CriterionScore, expected_score

Folds = Sequence[tuple[Array, Array]]
_CHANCE_DRAWS = 200
_BASELINES: dict[str, Callable[[Sequence[str], Array, Sequence[str]], Array]] = {
    "surface_counts": predict_from_counts,
    "surface_words": predict_from_words,
}


def macro_f1(labels: Array, predicted: Array) -> float:
    """Macro F1 over the labels that occur on either side."""
    return float(f1_score(labels, predicted, average="macro", zero_division=0.0))


def label_indices(rows: Sequence[ScoredRow], scale: Scale) -> Array:
    """The position of each row's label on a scale.

    Args:
        rows: The scored rows.
        scale: Their own scale, or `BINARY`.
    """
    return np.array(
        [scale.labels.index(row.label) if row.scale == scale else int(row.is_high) for row in rows]
    )


def all_figures(
    probabilities: Array, rows: Sequence[ScoredRow], scale: Scale, folds: Folds, seed: int
) -> dict[str, Any]:
    """Compare a probe's held-out predictions and its baselines with the stored scores.

    Args:
        probabilities: Held-out probabilities, [rows, labels].
        rows: The scored rows.
        scale: The labels.
        folds: The outer folds that the probabilities come from; the baselines use them too.
        seed: Seed of intervals and of chance.

    Returns:
        For "nested_cross_validation", "surface_counts" and "surface_words" the statistics, each
        with its 95% interval; for "chance" the mean macro F1 of shuffled labels.
    """
    labels = label_indices(rows, scale)
    responses = [row.response for row in rows]
    figures = {"nested_cross_validation": _agreement(probabilities, rows, labels, scale, seed)}
    for name, predict in _BASELINES.items():
        predicted = np.empty_like(labels)
        for train, test in folds:
            fitting = [responses[index] for index in train]
            predicted[test] = predict(fitting, labels[train], [responses[i] for i in test])
        certain = np.eye(len(scale.labels))[predicted]
        figures[name] = _agreement(certain, rows, labels, scale, seed)
    return {**figures, "chance": {"macro_f1": {"value": _chance(labels, seed)}}}


def held_out_figures(
    probabilities: Array, rows: Sequence[ScoredRow], scale: Scale, seed: int
) -> dict[str, Any]:
    """Compare held-out predictions alone with the stored scores; see `all_figures`."""
    return _agreement(probabilities, rows, label_indices(rows, scale), scale, seed)


def _agreement(
    probabilities: Array, rows: Sequence[ScoredRow], labels: Array, scale: Scale, seed: int
) -> dict[str, Any]:
    values = [scale.labels[index] for index in labels]
    reference = [CriterionScore(float(value), value, scale=scale) for value in values]
    predicted = [replace(expected_score(row, scale), scale=scale) for row in probabilities]
    compared = agreement(predicted, reference, problems_of(rows), seed=seed)
    return _to_json(compared)


def _to_json(compared: Agreement) -> dict[str, Any]:
    def rounded(value: float | None) -> float | None:
        return None if value is None else round(value, 4)

    return {
        name: None
        if estimate is None
        else {
            "value": rounded(estimate.value),
            "low": rounded(estimate.low),
            "high": rounded(estimate.high),
        }
        for name, estimate in compared.statistics.items()
    }


def _chance(labels: Array, seed: int) -> float:
    """Mean macro F1 of guesses that have the right frequencies and nothing else."""
    random = np.random.default_rng(seed)
    drawn = [macro_f1(labels, random.permutation(labels)) for _ in range(_CHANCE_DRAWS)]
    return round(float(np.mean(drawn)), 4)
