"""Fitting the hurdles of cross-fitted models: real responses against made ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from inspector_plugin.judges.inspector.crossfit import Hurdle
from inspector_plugin.judges.inspector.crossfit_data import Bools, Excluded, Ints, TrainingData
from inspector_plugin.judges.inspector.crossfit_held_out import by_origin, fit, held_out
from inspector_plugin.judges.inspector.linear import Array, LinearModel
from inspector_plugin.judges.inspector.training_texts import ATTEMPT

_STRENGTH, _EMPHASIS = 0.003, 3.0
# The share of real responses, held out, that a hurdle may hold for made ones.
_ATTEMPTS_LOST, _GOOD_LOST = 0.01, 0.02
# A response that real solutions resemble passes with near certainty.
_MARGIN = 1.0
_LEAST_SPREAD = 1e-3


class Hurdles:
    """Hurdles fitted without some folds, each once for all packs.

    Args:
        data: The texts.
    """

    def __init__(self, data: TrainingData) -> None:
        self._data = data
        self._goodness: dict[str, Ints] = {}
        self._models: dict[tuple[str, Excluded], LinearModel] = {}
        self._hurdles: dict[tuple[str, Excluded, str], Hurdle] = {}
        self._without_kind: dict[tuple[str, Excluded], LinearModel] = {}

    def goodness(self, key: str) -> Ints:
        """See `TrainingData.goodness`."""
        if key not in self._goodness:
            self._goodness[key] = self._data.goodness(key)
        return self._goodness[key]

    def attempt(self, excluded: Excluded, dataset: str) -> Hurdle:
        """Whether a response is an attempt at all, by the standard of a data set's responses."""
        return self._hurdle(ATTEMPT, excluded, dataset, _ATTEMPTS_LOST, 0.0)

    def criterion(self, key: str, excluded: Excluded, dataset: str) -> Hurdle:
        """Whether a response has none of the flaws that break a criterion."""
        return self._hurdle(key, excluded, dataset, _GOOD_LOST, _MARGIN)

    def attempt_without(self, kind: str, excluded: Excluded, dataset: str) -> Hurdle:
        """The hurdle of attempts fitted without one kind of made responses, with its threshold."""
        if (kind, excluded) not in self._without_kind:
            kinds = np.array([text.kind == kind for text in self._data.texts])
            labels = np.where(kinds, -1, self.goodness(ATTEMPT))
            self._without_kind[kind, excluded] = self._fit(labels, excluded)
        whole = self.attempt(excluded, dataset)
        return replace(whole, model=self._without_kind[kind, excluded])

    def standing(self, key: str, excluded: Excluded, dataset: str, chosen: Bools) -> Array:
        """Where some texts stand before a criterion's hurdle, by models without their folds.

        Returns:
            [texts]; NaN for texts that are not chosen or not to be seen.
        """
        return self.criterion(key, excluded, dataset).standing_of(
            self._held_out(key, excluded, chosen)
        )

    def _hurdle(
        self, key: str, excluded: Excluded, dataset: str, lost: float, margin: float
    ) -> Hurdle:
        """A hurdle, and the threshold that few real responses of the data set fall below."""
        if (key, excluded, dataset) not in self._hurdles:
            own = self._data.real & (self._data.datasets == dataset)
            good = (self.goodness(key) == 1) & own
            logits = self._held_out(key, excluded, good)
            seen = good & np.isfinite(logits)
            threshold = min(
                float(np.quantile(logits[group], lost)) for group in by_origin(self._data, seen)
            )
            low, center, high = np.quantile(logits[seen], (0.16, 0.5, 0.84))
            spread = max(float(high - low) / 2, _LEAST_SPREAD)
            self._hurdles[key, excluded, dataset] = Hurdle(
                self._model(key, excluded), threshold - margin, float(center), spread
            )
        return self._hurdles[key, excluded, dataset]

    def _held_out(self, key: str, excluded: Excluded, chosen: Bools) -> Array:
        logits = held_out(
            self._data,
            excluded,
            lambda without: self._model(key, without),
            self._data.inputs.narrow,
            chosen,
        )
        found: Array = logits[:, 1]
        return found

    def _model(self, key: str, excluded: Excluded) -> LinearModel:
        if (key, excluded) not in self._models:
            self._models[key, excluded] = self._fit(self.goodness(key), excluded)
        return self._models[key, excluded]

    def _fit(self, labels: Ints, excluded: Excluded) -> LinearModel:
        chosen = self._data.without(excluded) & (labels >= 0)
        return fit(self._data.inputs, chosen, labels[chosen], _STRENGTH, _EMPHASIS)
