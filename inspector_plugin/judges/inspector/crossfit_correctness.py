"""Fitting the probes of correctness: solutions known to be right or wrong."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from inspector_plugin.judges.inspector.crossfit import CriterionModel
from inspector_plugin.judges.inspector.crossfit_data import Bools, Excluded, Ints, TrainingData
from inspector_plugin.judges.inspector.crossfit_held_out import fit, held_out
from inspector_plugin.judges.inspector.linear import LinearModel
from inspector_plugin.judges.inspector.training_texts import FOLDS, SCORED, SOLUTIONS

_STRENGTH, _EMPHASIS = 0.0003, 5.0**0.5
# A solution by another model than those of the many solutions counts four times; one with a
# calculation that was made wrong, half.
_WEIGHTS = {SCORED: 4.0, SOLUTIONS: 1.0}
_MADE_WEIGHT = 0.5
_MADE_WRONG = ("calculation_wrong", "calculation_wrong_carried_on", "quantity_miscopied")


class CorrectnessProbes:
    """Probes of correctness fitted without some folds, each once for all packs.

    Args:
        data: The texts.

    Attributes:
        correct: See `TrainingData.correctness`.
    """

    def __init__(self, data: TrainingData) -> None:
        self._data = data
        self.correct: Ints = data.correctness()
        made_wrong = np.array([text.kind in _MADE_WRONG for text in data.texts])
        self._labels: Ints = np.where(made_wrong, 0, self.correct)
        known = [_WEIGHTS.get(str(origin), 1.0) for origin in data.origins]
        self._weights = np.where(made_wrong, _MADE_WEIGHT, known)
        self._probes: dict[tuple[str | None, Excluded], LinearModel] = {}

    @property
    def are_known(self) -> bool:
        """Whether any solution is known to be right or wrong."""
        return bool((self.correct >= 0).any())

    def model(self, excluded: Excluded, dataset: str) -> CriterionModel:
        """The probe for a data set, calibrated on real responses that it was not fitted on."""
        source = self._source(dataset)
        known = self._data.natural & (self.correct >= 0)
        logits = held_out(
            self._data,
            excluded,
            lambda without: self._probe(source, without),
            self._data.inputs.wide,
            known,
        )[:, 1]
        seen = known & np.isfinite(logits)
        fitted = LogisticRegression(C=1e6).fit(logits[seen, None], self.correct[seen])
        slope = max(float(fitted.coef_[0, 0]), 1e-3)
        bias = np.array([0.0, float(fitted.intercept_[0])])
        return CriterionModel(None, self._probe(source, excluded), True, 1 / slope, bias)

    @cached_property
    def author_left_out(self) -> dict[str, float]:
        """AUC on each author's solutions by probes that read none of theirs.

        Nor did they read solutions to the same problems.
        """
        data, found = self._data, {}
        authors = np.array([text.author or "" for text in data.texts])
        known = (self.correct >= 0) & data.natural
        for author in sorted(set(authors[known]) - {""}):
            logits = np.full(len(authors), np.nan)
            for fold in range(FOLDS):
                test = known & (authors == author) & (data.folds == fold)
                chosen = known & (authors != author) & data.without(frozenset({fold}))
                logits[test] = self._fit(self.correct, chosen).logits(data.inputs.wide[test])[:, 1]
            own = known & (authors == author)
            if len(set(self.correct[own].tolist())) == 2:
                found[str(author)] = round(float(roc_auc_score(self.correct[own], logits[own])), 4)
        return found

    def _source(self, dataset: str) -> str | None:
        """The data set whose solutions teach correctness: its own where models' are known.

        Others would teach it errors of another kind; without them, all there are teach it.
        """
        own = self._data.datasets == dataset
        has_own = (own & (self._data.origins == SOLUTIONS) & (self.correct >= 0)).any()
        return dataset if has_own else None

    def _probe(self, source: str | None, excluded: Excluded) -> LinearModel:
        if (source, excluded) not in self._probes:
            chosen = self._data.without(excluded) & (self._labels >= 0)
            if source is not None:
                chosen &= self._data.datasets == source
            self._probes[source, excluded] = self._fit(self._labels, chosen)
        return self._probes[source, excluded]

    def _fit(self, labels: Ints, chosen: Bools) -> LinearModel:
        return fit(
            self._data.inputs,
            chosen,
            labels[chosen],
            _STRENGTH,
            _EMPHASIS,
            wide=True,
            weights=self._weights[chosen],
        )
