"""Fitting cross-fitted models: every chain of models without the folds it must not see.

`Fits` fits each component once for each set of folds left out. What chooses and calibrates a chain
(strength of regularisation, temperature, tilt, thresholds) is measured on predictions for the folds
that the chain may see, by models that leave one more fold out: nothing sees what it is measured on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from inspector_plugin.errors import DataError
from inspector_plugin.judges.inspector.crossfit import Chain, CriterionModel, Familiarity, Hurdle
from inspector_plugin.judges.inspector.crossfit_calibration import (
    Planted,
    Scored,
    fit_calibration,
    least_tilt,
)
from inspector_plugin.judges.inspector.crossfit_correctness import CorrectnessProbes
from inspector_plugin.judges.inspector.crossfit_data import Bools, Excluded, Ints, TrainingData
from inspector_plugin.judges.inspector.crossfit_familiarity import Familiarities
from inspector_plugin.judges.inspector.crossfit_hurdles import Hurdles
from inspector_plugin.judges.inspector.crossfit_probes import ScoreProbes
from inspector_plugin.judges.inspector.linear import Array
from inspector_plugin.judges.inspector.negatives import KINDS
from inspector_plugin.judges.inspector.training_texts import ATTEMPT, CORRECTNESS, FOLDS

# The outer ring leaves out two folds, and what is measured inside it a third.
_MOST_EXCLUDED = 3
# How many chains a pack and its figures take: one a fold, and the outer ring's.
CHAINS = FOLDS * FOLDS
# Flaws by which the tilt is set, and from how many pairs on a data set's own pairs set it.
_PLANTED = ("calculation_wrong", "calculation_wrong_carried_on")
_LEAST_PAIRS = 50


@dataclass(frozen=True)
class PackPlan:
    """Which pack to fit.

    Attributes:
        dataset: The data set whose responses it judges: its real responses set the thresholds.
        scored: The data set whose scores its probes learn; another one where there are none.
        labels: "multiclass" or "binary".
        keys: The scored criteria.
    """

    dataset: str
    scored: str
    labels: str
    keys: tuple[str, ...]


class Fits:
    """Components fitted without some folds, each once.

    Args:
        data: The texts.
        plan: Which pack they are for.
        shared: Fits of the same texts for another pack, whose hurdles, familiarities and probes of
            correctness are the same.
        advance: Called after each chain.

    Attributes:
        data: The texts.
        plan: Which pack they are for.
        hurdles: The hurdles.
        familiarities: What is like the responses of a data set.
        correctness: The probes of correctness.
    """

    def __init__(
        self,
        data: TrainingData,
        plan: PackPlan,
        shared: Fits | None = None,
        advance: Callable[[], None] = lambda: None,
    ) -> None:
        self.data, self.plan, self._advance = data, plan, advance
        self.hurdles: Hurdles = shared.hurdles if shared else Hurdles(data)
        self.familiarities: Familiarities = shared.familiarities if shared else Familiarities(data)
        self.correctness: CorrectnessProbes = (
            shared.correctness if shared else CorrectnessProbes(data)
        )
        self._labels = {key: data.labels(key, plan.labels, plan.scored) for key in plan.keys}
        self._probes = ScoreProbes(data, self._labels)
        for key in plan.keys:
            self._require_every_label(
                f"{plan.scored}, {key!r} ({plan.labels}): a label",
                self._labels[key],
                "give more scored rows, or use: inspector train",
            )
        for key in (*plan.keys, ATTEMPT):
            what = f"{key!r}: real responses, or those made bad,"
            goodness = self.hurdles.goodness(key)
            self._require_every_label(what, goodness, "give more rows, or a larger --sources")
        if self.correctness.are_known:
            what = f"{CORRECTNESS!r}: a right or a wrong solution"
            self._require_every_label(what, self.correctness.correct, "give more --solutions")

    def _require_every_label(self, what: str, labels: Ints, remedy: str) -> None:
        """Refuse labels of which one would be lost with three folds left out.

        Raises:
            DataError: If there are too few rows of a label.
        """
        known = set(labels[labels >= 0].tolist())
        for excluded in combinations(range(FOLDS), _MOST_EXCLUDED):
            kept = labels[(labels >= 0) & self.data.without(frozenset(excluded))]
            if len(known) < 2 or set(kept.tolist()) != known:
                raise DataError(
                    f"{what} occurs in too few problems to be there when {_MOST_EXCLUDED} of "
                    f"{FOLDS} folds are left out; {remedy}."
                )

    def chain(self, excluded: Excluded) -> Chain:
        """Fit all that judges, without some folds."""
        strength = self._probes.best_strength(excluded)
        temperature, tilts = self._calibration(excluded, strength)
        criteria = {
            key: CriterionModel(
                self.hurdles.criterion(key, excluded, self.plan.dataset),
                self._probes.probe(key, excluded, strength),
                False,
                temperature,
                np.zeros(len(set(self._labels[key].tolist()) - {-1})),
                tilts[key],
            )
            for key in self.plan.keys
        }
        if self.correctness.are_known:
            criteria[CORRECTNESS] = self.correctness.model(excluded, self.plan.dataset)
        chain = Chain(*self.response_models(excluded), criteria)
        self._advance()
        return chain

    def response_models(self, excluded: Excluded) -> tuple[Hurdle, Familiarity]:
        """What flags a response, without some folds."""
        dataset = self.plan.dataset
        attempt = self.hurdles.attempt(excluded, dataset)
        return attempt, self.familiarities.model(dataset, excluded)

    def _calibration(self, excluded: Excluded, strength: float) -> tuple[float, dict[str, float]]:
        """Temperature, and each criterion's tilt, measured on folds held out."""
        scored = []
        for key, labels in self._labels.items():
            logits, standing = self._held_out(key, excluded, strength, labels >= 0)
            seen = (labels >= 0) & np.isfinite(standing)
            scored.append(Scored(labels[seen], logits[seen], standing[seen]))
        temperature, tilt = fit_calibration(scored)
        broken = [key for key in self.plan.keys if any(key in KINDS[kind] for kind in _PLANTED)]
        flawed, sound = self._pairs(excluded)
        if not broken or not len(flawed):
            return temperature, dict.fromkeys(self.plan.keys, tilt)
        chosen = np.isin(np.arange(len(self.data.texts)), np.concatenate([flawed, sound]))
        planted = {}
        for key in broken:
            logits, standing = self._held_out(key, excluded, strength, chosen)
            planted[key] = Planted(
                (logits[flawed], logits[sound]), (standing[flawed], standing[sound])
            )
        least = least_tilt(planted, temperature, tilt)
        return temperature, {key: least if key in broken else tilt for key in self.plan.keys}

    def _held_out(
        self, key: str, excluded: Excluded, strength: float, chosen: Bools
    ) -> tuple[Array, Array]:
        """The probe's logits, [texts, labels], and the standing before the hurdle, [texts]."""
        logits = self._probes.held_out(key, excluded, strength, chosen)
        return logits, self.hurdles.standing(key, excluded, self.plan.dataset, chosen)

    def _pairs(self, excluded: Excluded) -> tuple[Ints, Ints]:
        """Texts with a planted wrong calculation, and faultless ones to the same problems.

        Returns:
            Indices of the flawed and of the sound texts, [pairs] each; those of the pack's own data
            set where there are enough.
        """
        seen = self.data.without(excluded)
        sound: dict[tuple[str, str], list[int]] = {}
        for index in np.flatnonzero(seen & self.data.real):
            text = self.data.texts[index]
            if text.is_faultless:
                sound.setdefault((text.question, text.origin), []).append(int(index))
        pairs = np.array(
            [
                (index, other)
                for index in np.flatnonzero(seen & self.data.of_kinds(_PLANTED))
                for other in sound.get(
                    (self.data.texts[index].question, self.data.texts[index].origin), ()
                )
            ],
            dtype=np.int64,
        ).reshape(-1, 2)
        own = self.data.datasets[pairs[:, 0]] == self.plan.dataset
        pairs = pairs[own] if own.sum() >= _LEAST_PAIRS else pairs
        return pairs[:, 0], pairs[:, 1]


def fit_chains(fits: Fits) -> tuple[Chain, ...]:
    """Fit the chain of each fold."""
    return tuple(fits.chain(frozenset({fold})) for fold in range(FOLDS))


def held_out_probabilities(fits: Fits, chains: Sequence[Chain]) -> Mapping[str, Array]:
    """The probabilities of all texts on each criterion by the chain of their own fold.

    A made text that holds two problems is judged by the chain of the first: use it for real ones.

    Returns:
        By criterion [texts, labels].
    """
    data = fits.data
    found: dict[str, Array] = {}
    for fold, chain in enumerate(chains):
        rows = np.flatnonzero(data.folds == fold)
        inputs = data.inputs.part(rows)
        for key in chain.criteria:
            probabilities = chain.probabilities(inputs, key)
            whole = found.setdefault(
                key, np.full((len(data.texts), probabilities.shape[1]), np.nan)
            )
            whole[rows] = probabilities
    return found
