"""What is like the responses that cross-fitted models were fitted on, and what is not."""

from __future__ import annotations

import numpy as np

from inspector_plugin.judges.inspector.crossfit import Familiarity
from inspector_plugin.judges.inspector.crossfit_data import Excluded, TrainingData
from inspector_plugin.judges.inspector.crossfit_held_out import by_origin
from inspector_plugin.judges.inspector.linear import Array
from inspector_plugin.judges.inspector.training_texts import FOLDS

# The share of responses, held out, that may be called unlike the others.
_LOST = 0.01
_DIRECTIONS = 20


def fit_familiarity(data: TrainingData, dataset: str, excluded: Excluded) -> Familiarity:
    """Mahalanobis distance from the data set's responses, and what few of each origin exceed.

    Real responses in other styles are among them: else a short one would be unlike them all.
    """
    own = (data.real | data.restyled) & (data.datasets == dataset)
    hidden = data.inputs.states.shape[1] // 3
    states = data.inputs.states[:, :hidden].astype(np.float64)
    squared = np.full(len(own), np.nan)
    for fold in set(range(FOLDS)) - excluded:
        fitted = own & data.without(excluded | {fold})
        center, directions = _principal(states[fitted])
        held_out = own & data.without(excluded) & (data.folds == fold)
        squared[held_out] = (((states[held_out] - center) @ directions.T) ** 2).sum(axis=1)
    known = own & np.isfinite(squared)
    groups = [known & data.restyled, *by_origin(data, known & data.real)]
    threshold = max(
        float(np.quantile(squared[group], 1 - _LOST)) for group in groups if group.any()
    )
    center, directions = _principal(states[own & data.without(excluded)])
    return Familiarity(center, directions, threshold)


def _principal(states: Array) -> tuple[Array, Array]:
    """Mean and scaled principal directions of states."""
    center = states.mean(axis=0)
    _, singular, directions = np.linalg.svd(states - center, full_matrices=False)
    kept = min(_DIRECTIONS, len(singular), len(states) - 1)
    spread = singular[:kept] / np.sqrt(len(states) - 1)
    return center, directions[:kept] / spread[:, None]
