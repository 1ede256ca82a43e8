"""The figures that a tuned judge's card has of each criterion, beside baselines, same folds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix

from inspector_plugin.judges.inspector.calibration import calibration
from inspector_plugin.judges.inspector.figures import all_figures, label_indices
from inspector_plugin.judges.tuned.examples import Array, Examples
from inspector_plugin.judges.tuned.plan import TuningPlan
from inspector_plugin.schema.criteria import Criterion


def criteria_entries(
    plan: TuningPlan, examples: Examples, probabilities: Mapping[str, Array]
) -> dict[str, Any]:
    """Measure held-out probabilities.

    Args:
        plan: Folds, labels and seed.
        examples: The examples.
        probabilities: Held-out probabilities of the labels, [examples, labels], by criterion.

    Returns:
        What the card says of each criterion, by key: what it is, rows, problems, figures,
        calibration and the confusion matrix.
    """
    return {
        criterion.key: _entry(plan, examples, criterion, probabilities[criterion.key])
        for criterion in examples.criteria
    }


def _entry(
    plan: TuningPlan, examples: Examples, criterion: Criterion, probabilities: Array
) -> dict[str, Any]:
    own = examples.rows[criterion.key]
    rows, places = [row for row, _ in own], np.array([place for _, place in own])
    folds = examples.folds(plan.folds)[places]
    parts = [
        (np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in sorted({*folds})
    ]
    held_out, scale = probabilities[places], plan.scale_of(criterion)
    labels = label_indices(rows, scale)
    matrix = confusion_matrix(labels, held_out.argmax(axis=1), labels=range(len(scale.labels)))
    return {
        "criterion": criterion.to_json(),
        "fingerprint": criterion.fingerprint,
        "rows": len(rows),
        "problems": len({examples.problems[place] for place in places}),
        "figures": all_figures(held_out, rows, scale, parts, plan.seed),
        "calibration": calibration(held_out, labels, plan.seed),
        "confusion": matrix.tolist(),
    }
