"""What all components of cross-fitted models share: how they are fitted, and measured held out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from inspector_plugin.judges.inspector.crossfit_data import Bools, Excluded, Ints, TrainingData
from inspector_plugin.judges.inspector.inputs import Inputs, emphasis
from inspector_plugin.judges.inspector.linear import Array, LinearModel, fit_linear
from inspector_plugin.judges.inspector.training_texts import FOLDS

_LEAST_ROWS = 50


def fit(
    inputs: Inputs,
    rows: Ints | Bools,
    labels: Ints,
    strength: float,
    on_counted: float,
    *,
    wide: bool = False,
    weights: Array | None = None,
) -> LinearModel:
    """Fit a component.

    Args:
        inputs: Texts.
        rows: Those to fit it on.
        labels: Their labels, one for each of the rows.
        strength: See `fit_linear`.
        on_counted: The emphasis on what stands beside the states.
        wide: Whether the component looks at `Inputs.wide`, else at `Inputs.narrow`.
        weights: The weight of each row within its label; all the same if None.
    """
    features = (inputs.wide if wide else inputs.narrow)[rows]
    emphases = emphasis(features.shape[1], inputs.counted.shape[1], on_counted)
    return fit_linear(features, labels, strength, emphases, weights)


def held_out(
    data: TrainingData,
    excluded: Excluded,
    model: Callable[[Excluded], LinearModel],
    features: Array,
    chosen: Bools,
) -> Array:
    """Logits for texts of the folds not excluded, each by a model without its fold.

    Args:
        data: The texts.
        excluded: The folds that nothing may see.
        model: Makes the model fitted without some folds.
        features: What it looks at, [texts, features].
        chosen: The texts wanted, [texts].

    Returns:
        [texts, labels]; NaN for all others.
    """
    found: Array | None = None
    for fold in sorted(set(range(FOLDS)) - excluded):
        rows = chosen & (data.folds == fold) & data.without(excluded)
        logits = model(excluded | {fold}).logits(features[rows])
        if found is None:
            found = np.full((len(chosen), logits.shape[1]), np.nan)
        found[rows] = logits
    assert found is not None
    return found


def by_origin(data: TrainingData, chosen: Bools) -> list[Bools]:
    """Split texts by origin; an origin with few rows sets no threshold by itself."""
    origins = [chosen & (data.origins == each) for each in np.unique(data.origins)]
    return [group for group in origins if group.sum() >= _LEAST_ROWS] or [chosen]
