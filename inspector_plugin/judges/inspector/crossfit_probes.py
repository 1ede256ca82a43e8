"""Fitting the probes of the scored criteria: each its own, and one that they have in common.

Scores are few, and what one criterion's say of a response holds for the others in part. The logits
of a probe are those of a model of its own criterion plus a share of those of a model of the scores
on all criteria: a product of two experts, and again a linear model.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from inspector_plugin.judges.inspector.crossfit_data import Bools, Excluded, Ints, TrainingData
from inspector_plugin.judges.inspector.crossfit_held_out import fit, held_out
from inspector_plugin.judges.inspector.linear import Array, LinearModel

STRENGTHS = (0.003, 0.005, 0.01)
_COMMON_STRENGTH, COMMON_SHARE = 0.01, 0.5


class ScoreProbes:
    """Probes of criteria fitted without some folds, each once.

    Args:
        data: The texts.
        labels: By criterion the index of each text's label, -1 where it has none, [texts].
        share: How much of the logits of what the criteria have in common is added, from 0 on.
    """

    def __init__(
        self, data: TrainingData, labels: dict[str, Ints], share: float = COMMON_SHARE
    ) -> None:
        self._data, self._labels, self._share = data, labels, share
        self._counts = {key: len(set(own[own >= 0].tolist())) for key, own in labels.items()}
        self._probes: dict[tuple[str, Excluded, float], LinearModel] = {}
        self._common: dict[tuple[int, Excluded], LinearModel] = {}

    def probe(self, key: str, excluded: Excluded, strength: float) -> LinearModel:
        """A criterion's probe, fitted without some folds."""
        if (key, excluded, strength) not in self._probes:
            labels = self._labels[key]
            chosen = self._data.without(excluded) & (labels >= 0)
            own = fit(self._data.inputs, chosen, labels[chosen], strength, 1.0)
            common = self._in_common(self._counts[key], excluded)
            self._probes[key, excluded, strength] = (
                own if common is None else own.plus(common, self._share)
            )
        return self._probes[key, excluded, strength]

    def held_out(self, key: str, excluded: Excluded, strength: float, chosen: Bools) -> Array:
        """Logits for texts of the folds not excluded; see `crossfit_held_out.held_out`."""
        return held_out(
            self._data,
            excluded,
            lambda without: self.probe(key, without, strength),
            self._data.inputs.narrow,
            chosen,
        )

    def best_strength(self, excluded: Excluded) -> float:
        """The strength with the least mean log loss over the criteria, on folds held out.

        Each criterion's loss is that at its best temperature: how sure a probe may be is set later.
        """
        return min(STRENGTHS, key=lambda strength: self._mean_loss(excluded, strength))

    def _mean_loss(self, excluded: Excluded, strength: float) -> float:
        losses = []
        for key, labels in self._labels.items():
            logits = self.held_out(key, excluded, strength, labels >= 0)
            seen = (labels >= 0) & np.isfinite(logits[:, 0])
            losses.append(least_loss(logits[seen], labels[seen]))
        return float(np.mean(losses))

    def _in_common(self, count: int, excluded: Excluded) -> LinearModel | None:
        """The model of all scores with a number of labels; None if one criterion alone has it."""
        keys = [key for key, own in self._counts.items() if own == count]
        if len(keys) < 2:
            return None
        if (count, excluded) not in self._common:
            seen = self._data.without(excluded)
            rows = [np.flatnonzero(seen & (self._labels[key] >= 0)) for key in keys]
            labels = [self._labels[key][own] for key, own in zip(keys, rows, strict=True)]
            self._common[count, excluded] = fit(
                self._data.inputs,
                np.concatenate(rows),
                np.concatenate(labels),
                _COMMON_STRENGTH,
                1.0,
            )
        return self._common[count, excluded]


def least_loss(logits: Array, labels: Ints) -> float:
    """Mean log loss at the temperature that makes it least.

    Args:
        logits: [rows, labels].
        labels: Index of each row's label, [rows].
    """

    def loss(log_temperature: float) -> float:
        found = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float(found[np.arange(len(labels)), labels].mean())

    return float(minimize_scalar(loss, bounds=(-3, 3), method="bounded").fun)
