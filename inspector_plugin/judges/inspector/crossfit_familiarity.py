"""What is like the responses that cross-fitted models were fitted on, and what is not."""

from __future__ import annotations

import numpy as np

from inspector_plugin.judges.inspector.crossfit import Familiarity
from inspector_plugin.judges.inspector.crossfit_data import Bools, Excluded, TrainingData
from inspector_plugin.judges.inspector.crossfit_held_out import by_origin
from inspector_plugin.judges.inspector.linear import Array
from inspector_plugin.judges.inspector.training_texts import FOLDS

# The share of responses, held out, that may be called unlike the others.
_LOST = 0.01
_DIRECTIONS = 20


class Familiarities:
    """What is like each data set's responses, fitted without some folds, each once for all packs.

    Args:
        data: The texts.
    """

    def __init__(self, data: TrainingData) -> None:
        self._data = data
        self._models: dict[tuple[str, Excluded], Familiarity] = {}
        self._principals: dict[tuple[str, Excluded], tuple[Array, Array]] = {}

    def model(self, dataset: str, excluded: Excluded) -> Familiarity:
        """Mahalanobis distance from the data set's responses, and what few of each origin exceed.

        Real responses in other styles are among them: else a short one would be unlike them all.
        """
        if (dataset, excluded) not in self._models:
            self._models[dataset, excluded] = self._fit(dataset, excluded)
        return self._models[dataset, excluded]

    def _fit(self, dataset: str, excluded: Excluded) -> Familiarity:
        data, own = self._data, self._own(dataset)
        squared = np.full(len(own), np.nan)
        for fold in set(range(FOLDS)) - excluded:
            center, directions = self._principal_of(dataset, excluded | {fold})
            held_out = own & data.without(excluded) & (data.folds == fold)
            along = (self._states(held_out) - center) @ directions.T
            squared[held_out] = (along**2).sum(axis=1)
        known = own & np.isfinite(squared)
        groups = [known & data.restyled, *by_origin(data, known & data.real)]
        threshold = max(
            float(np.quantile(squared[group], 1 - _LOST)) for group in groups if group.any()
        )
        return Familiarity(*self._principal_of(dataset, excluded), threshold)

    def _principal_of(self, dataset: str, excluded: Excluded) -> tuple[Array, Array]:
        """Mean and scaled principal directions of the data set's states."""
        if (dataset, excluded) not in self._principals:
            fitted = self._own(dataset) & self._data.without(excluded)
            self._principals[dataset, excluded] = _principal(self._states(fitted))
        return self._principals[dataset, excluded]

    def _own(self, dataset: str) -> Bools:
        data = self._data
        found: Bools = (data.real | data.restyled) & (data.datasets == dataset)
        return found

    def _states(self, chosen: Bools) -> Array:
        """The mean states of some texts, [texts, hidden size] float64."""
        states = self._data.inputs.states
        return states[chosen][:, : states.shape[1] // 3].astype(np.float64)


def _principal(states: Array) -> tuple[Array, Array]:
    """Mean and scaled principal directions of states."""
    center = states.mean(axis=0)
    _, singular, directions = np.linalg.svd(states - center, full_matrices=False)
    kept = min(_DIRECTIONS, len(singular), len(states) - 1)
    spread = singular[:kept] / np.sqrt(len(states) - 1)
    return center, directions[:kept] / spread[:, None]
