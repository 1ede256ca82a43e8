"""Fitting cross-fitted models: every chain of models without the folds it must not see.

`Fits` fits each component once for each set of folds left out. What chooses and calibrates a chain
(strength of regularisation, temperature, thresholds) is measured on predictions for the folds that
the chain may see, by models that leave one more fold out: nothing sees what it is measured on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from inspector_plugin.errors import DataError
from inspector_plugin.judges.inspector.crossfit import (
    Chain,
    CriterionModel,
    Familiarity,
    Hurdle,
    tilted,
)
from inspector_plugin.judges.inspector.crossfit_data import Bools, Excluded, Ints, TrainingData
from inspector_plugin.judges.inspector.figures import macro_f1
from inspector_plugin.judges.inspector.inputs import emphasis
from inspector_plugin.judges.inspector.linear import Array, LinearModel, fit_linear
from inspector_plugin.judges.inspector.training_texts import (
    ATTEMPT,
    CORRECTNESS,
    FOLDS,
    SCORED,
    SOLUTIONS,
)

STRENGTHS = (0.003, 0.01, 0.03)
_HURDLE_STRENGTH, _HURDLE_EMPHASIS = 0.003, 3.0
_CORRECTNESS_STRENGTH, _CORRECTNESS_EMPHASIS = 0.0003, 5.0**0.5
# A solution by another model than those of the many solutions counts four times; one with a
# calculation that was made wrong, half.
_CORRECTNESS_WEIGHTS = {SCORED: 4.0, SOLUTIONS: 1.0}
_MADE_WEIGHT = 0.5
_MADE_WRONG = ("calculation_wrong", "calculation_wrong_carried_on", "quantity_miscopied")
# The share of real responses, held out, that a hurdle may hold for made ones.
ATTEMPTS_LOST, GOOD_LOST, FAMILIAR_LOST = 0.01, 0.02, 0.01
# A response that real solutions resemble passes with near certainty.
_MARGIN = 1.0
_LEAST_SPREAD = 1e-3
_MOST_TILT = 1.0
_LEAST_ROWS = 50
_DIRECTIONS = 20
# The outer ring leaves out two folds, and what is measured inside it a third.
_MOST_EXCLUDED = 3


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


@dataclass
class _SharedFits:
    """What does not depend on the pack: every fit of it is made once for all packs.

    Attributes:
        hurdles: By criterion and folds left out.
        attempts: Hurdles of attempts by kind of made response and folds left out.
        correctness: Probes of correctness by the data set that they learnt from, None for all, and
            folds left out.
        author_left_out: AUC of correctness by author.
    """

    hurdles: dict[tuple[str, Excluded], LinearModel] = field(default_factory=dict)
    attempts: dict[tuple[str, Excluded], LinearModel] = field(default_factory=dict)
    correctness: dict[tuple[str | None, Excluded], LinearModel] = field(default_factory=dict)
    author_left_out: dict[str, float] = field(default_factory=dict)


class Fits:
    """Components fitted without some folds, each once.

    Args:
        data: The texts.
        plan: Which pack they are for.
        shared: Fits of the same texts for another pack, whose hurdles and probes of correctness
            are the same.
    """

    def __init__(self, data: TrainingData, plan: PackPlan, shared: Fits | None = None) -> None:
        self.data, self.plan = data, plan
        self._shared: _SharedFits = shared._shared if shared else _SharedFits()
        self._probes: dict[tuple[str, Excluded, float], LinearModel] = {}
        self._goodness = {key: data.goodness(key) for key in (*plan.keys, ATTEMPT)}
        self._label_of = {key: data.labels(key, plan.labels, plan.scored) for key in plan.keys}
        self._correct = data.correctness()
        self._made_wrong = np.array([text.kind in _MADE_WRONG for text in data.texts])
        self._correctness_weights = np.where(
            self._made_wrong,
            _MADE_WEIGHT,
            [_CORRECTNESS_WEIGHTS.get(str(origin), 1.0) for origin in data.origins],
        )

        for key in plan.keys:
            self._require_every_label(
                f"{plan.scored}, {key!r} ({plan.labels}): a label",
                self._label_of[key],
                "give more scored rows, or use: inspector train",
            )
        for key, goodness in self._goodness.items():
            what = f"{key!r}: real responses, or those made bad,"
            self._require_every_label(what, goodness, "give more rows, or a larger --sources")
        if (self._correct >= 0).any():
            what = f"{CORRECTNESS!r}: a right or a wrong solution"
            self._require_every_label(what, self._correct, "give more --solutions")

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
        attempt = self._hurdle(ATTEMPT, excluded, ATTEMPTS_LOST, 0.0)
        strength = self._best_strength(excluded)
        hurdles = {key: self._hurdle(key, excluded, GOOD_LOST, _MARGIN) for key in self.plan.keys}
        temperature, tilt = self._calibration(excluded, strength, hurdles)
        criteria = {
            key: CriterionModel(
                hurdle,
                self._probe(key, excluded, strength),
                False,
                temperature,
                np.zeros(len(set(self._label_of[key])) - 1),
                tilt,
            )
            for key, hurdle in hurdles.items()
        }
        if (self._correct >= 0).any():
            criteria[CORRECTNESS] = self._correctness_model(excluded)
        return Chain(attempt, self._familiarity(excluded), criteria)

    def response_models(self, excluded: Excluded) -> tuple[Hurdle, Familiarity]:
        """What flags a response, without some folds."""
        attempt = self._hurdle(ATTEMPT, excluded, ATTEMPTS_LOST, 0.0)
        return attempt, self._familiarity(excluded)

    def attempt_without(self, excluded: Excluded, kind: str) -> Hurdle:
        """The hurdle of attempts fitted without one kind of made responses, with its threshold."""
        if (kind, excluded) not in self._shared.attempts:
            kinds = np.array([text.kind == kind for text in self.data.texts])
            labels = np.where(kinds, -1, self._goodness[ATTEMPT])
            chosen = self.data.without(excluded) & (labels >= 0)
            self._shared.attempts[kind, excluded] = _fit(
                self.data.inputs.narrow[chosen], labels[chosen], _HURDLE_STRENGTH, _HURDLE_EMPHASIS
            )
        whole = self._hurdle(ATTEMPT, excluded, ATTEMPTS_LOST, 0.0)
        return replace(whole, model=self._shared.attempts[kind, excluded])

    def author_left_out(self) -> dict[str, float]:
        """AUC of correctness on each author's solutions by probes that read none of theirs.

        Nor did they read solutions to the same problems.
        """
        found = self._shared.author_left_out
        if found:
            return found
        authors = np.array([text.author or "" for text in self.data.texts])
        known = (self._correct >= 0) & self.data.natural
        for author in sorted(set(authors[known]) - {""}):
            logits = np.full(len(authors), np.nan)
            for fold in range(FOLDS):
                chosen = known & (authors != author) & self.data.without(frozenset({fold}))
                test = known & (authors == author) & (self.data.folds == fold)
                model = _fit(
                    self.data.inputs.wide[chosen],
                    self._correct[chosen],
                    _CORRECTNESS_STRENGTH,
                    _CORRECTNESS_EMPHASIS,
                    self._correctness_weights[chosen],
                )
                logits[test] = model.logits(self.data.inputs.wide[test])[:, 1]
            own = known & (authors == author)
            if len(set(self._correct[own].tolist())) < 2:
                continue
            found[author] = round(float(roc_auc_score(self._correct[own], logits[own])), 4)
        return found

    def _hurdle(self, key: str, excluded: Excluded, lost: float, margin: float) -> Hurdle:
        """A hurdle, and the threshold that few real responses of the data set fall below."""
        own = self.data.real & (self.data.datasets == self.plan.dataset)
        good = (self._goodness[key] == 1) & own
        logits = self._held_out(
            excluded,
            lambda without: self._hurdle_model(key, without),
            self.data.inputs.narrow,
            good,
        )[:, 1]
        seen = good & np.isfinite(logits)
        threshold = min(float(np.quantile(logits[group], lost)) for group in self._origins(seen))
        low, center, high = np.quantile(logits[seen], (0.16, 0.5, 0.84))
        spread = max(float(high - low) / 2, _LEAST_SPREAD)
        return Hurdle(self._hurdle_model(key, excluded), threshold - margin, float(center), spread)

    def _origins(self, chosen: Bools) -> list[Bools]:
        """Split texts by origin; an origin with few rows sets no threshold by itself."""
        origins = [chosen & (self.data.origins == each) for each in np.unique(self.data.origins)]
        return [group for group in origins if group.sum() >= _LEAST_ROWS] or [chosen]

    def _hurdle_model(self, key: str, excluded: Excluded) -> LinearModel:
        if (key, excluded) not in self._shared.hurdles:
            labels = self._goodness[key]
            chosen = self.data.without(excluded) & (labels >= 0)
            self._shared.hurdles[key, excluded] = _fit(
                self.data.inputs.narrow[chosen], labels[chosen], _HURDLE_STRENGTH, _HURDLE_EMPHASIS
            )
        return self._shared.hurdles[key, excluded]

    def _probe(self, key: str, excluded: Excluded, strength: float) -> LinearModel:
        place = (key, excluded, strength)
        if place not in self._probes:
            labels = self._label_of[key]
            chosen = self.data.without(excluded) & (labels >= 0)
            self._probes[place] = _fit(
                self.data.inputs.narrow[chosen], labels[chosen], strength, 1.0
            )
        return self._probes[place]

    def _correctness_model(self, excluded: Excluded) -> CriterionModel:
        """The probe of correctness, calibrated on real responses that it was not fitted on."""
        known = self.data.natural & (self._correct >= 0)
        logits = self._held_out(excluded, self._correctness_probe, self.data.inputs.wide, known)[
            :, 1
        ]
        seen = known & np.isfinite(logits)
        fitted = LogisticRegression(C=1e6).fit(logits[seen, None], self._correct[seen])
        slope = max(float(fitted.coef_[0, 0]), 1e-3)
        bias = np.array([0.0, float(fitted.intercept_[0])])
        return CriterionModel(None, self._correctness_probe(excluded), True, 1 / slope, bias)

    def _correctness_probe(self, excluded: Excluded) -> LinearModel:
        place = (self._correctness_source, excluded)
        if place not in self._shared.correctness:
            labels = np.where(self._made_wrong, 0, self._correct)
            chosen = self.data.without(excluded) & (labels >= 0)
            if self._correctness_source is not None:
                chosen &= self.data.datasets == self._correctness_source
            self._shared.correctness[place] = _fit(
                self.data.inputs.wide[chosen],
                labels[chosen],
                _CORRECTNESS_STRENGTH,
                _CORRECTNESS_EMPHASIS,
                self._correctness_weights[chosen],
            )
        return self._shared.correctness[place]

    @cached_property
    def _correctness_source(self) -> str | None:
        """The data set whose solutions teach correctness: its own where models' are known.

        Others would teach it errors of another kind; without them, all there are teach it.
        """
        own = self.data.datasets == self.plan.dataset
        has_own = (own & (self.data.origins == SOLUTIONS) & (self._correct >= 0)).any()
        return self.plan.dataset if has_own else None

    def _best_strength(self, excluded: Excluded) -> float:
        """The strength with the best mean macro F1 over the criteria, on folds held out."""
        return max(STRENGTHS, key=lambda strength: self._held_out_f1(excluded, strength))

    def _held_out_f1(self, excluded: Excluded, strength: float) -> float:
        figures = []
        for key in self.plan.keys:
            labels, logits = self._held_out_logits(key, excluded, strength)
            figures.append(macro_f1(labels, logits.argmax(axis=1)))
        return float(np.mean(figures))

    def _held_out_logits(self, key: str, excluded: Excluded, strength: float) -> tuple[Ints, Array]:
        labels = self._label_of[key]
        logits = self._held_out(
            excluded,
            lambda without: self._probe(key, without, strength),
            self.data.inputs.narrow,
            labels >= 0,
        )
        seen = (labels >= 0) & np.isfinite(logits[:, 0])
        return labels[seen], logits[seen]

    def _calibration(
        self, excluded: Excluded, strength: float, hurdles: Mapping[str, Hurdle]
    ) -> tuple[float, float]:
        """Temperature and tilt with the highest likelihood over all criteria, on folds held out."""
        held_out = []
        for key, hurdle in hurdles.items():
            labels, logits = self._held_out_logits(key, excluded, strength)
            standing = hurdle.standing_of(self._held_out_standing(key, excluded))
            held_out.append((labels, logits, tilted(standing, logits.shape[1])))

        def surprise(parameters: Array) -> float:
            loss = 0.0
            for labels, logits, direction in held_out:
                moved = logits / np.exp(parameters[0]) + parameters[1] * direction
                found = log_softmax(moved, axis=1)
                loss -= float(found[np.arange(len(labels)), labels].sum())
            return loss

        fitted = minimize(surprise, (0.0, 0.0), bounds=((-3, 3), (0, _MOST_TILT)))
        return float(np.exp(fitted.x[0])), float(fitted.x[1])

    def _held_out_standing(self, key: str, excluded: Excluded) -> Array:
        """Logits of a criterion's hurdle for its scored rows, as `_held_out_logits` has them."""
        chosen = self._label_of[key] >= 0
        logits = self._held_out(
            excluded,
            lambda without: self._hurdle_model(key, without),
            self.data.inputs.narrow,
            chosen,
        )[:, 1]
        found: Array = logits[chosen & np.isfinite(logits)]
        return found

    def _familiarity(self, excluded: Excluded) -> Familiarity:
        """Mahalanobis distance from the data set's responses, and what few of each origin exceed.

        Real responses in other styles are among them: else a short one would be unlike them all.
        """
        data = self.data
        own = (data.real | data.restyled) & (data.datasets == self.plan.dataset)
        hidden = self.data.inputs.states.shape[1] // 3
        states = self.data.inputs.states[:, :hidden].astype(np.float64)
        squared = np.full(len(own), np.nan)
        for fold in set(range(FOLDS)) - excluded:
            fitted = own & self.data.without(excluded | {fold})
            center, directions = _principal(states[fitted])
            held_out = own & self.data.without(excluded) & (self.data.folds == fold)
            squared[held_out] = (((states[held_out] - center) @ directions.T) ** 2).sum(axis=1)
        known = own & np.isfinite(squared)
        groups = [known & data.restyled, *self._origins(known & data.real)]
        threshold = max(
            float(np.quantile(squared[group], 1 - FAMILIAR_LOST)) for group in groups if group.any()
        )
        center, directions = _principal(states[own & self.data.without(excluded)])
        return Familiarity(center, directions, threshold)

    def _held_out(
        self,
        excluded: Excluded,
        model: Callable[[Excluded], LinearModel],
        features: Array,
        chosen: Bools,
    ) -> Array:
        """Logits for texts of the folds not excluded, each by a model without its fold.

        Returns:
            [texts, labels]; NaN for all others.
        """
        found: Array | None = None
        for fold in sorted(set(range(FOLDS)) - excluded):
            rows = chosen & (self.data.folds == fold) & self.data.without(excluded)
            logits = model(excluded | {fold}).logits(features[rows])
            if found is None:
                found = np.full((len(chosen), logits.shape[1]), np.nan)
            found[rows] = logits
        assert found is not None
        return found


def _fit(
    features: Array, labels: Ints, strength: float, on_text: float, weights: Array | None = None
) -> LinearModel:
    return fit_linear(features, labels, strength, emphasis(features.shape[1], on_text), weights)


def _principal(states: Array) -> tuple[Array, Array]:
    """Mean and scaled principal directions of states."""
    center = states.mean(axis=0)
    _, singular, directions = np.linalg.svd(states - center, full_matrices=False)
    kept = min(_DIRECTIONS, len(singular), len(states) - 1)
    spread = singular[:kept] / np.sqrt(len(states) - 1)
    return center, directions[:kept] / spread[:, None]


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
