"""How far scores by layers agree with stored ones: tuned and not, by layer, on held-out rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inspector_plugin.agreement.compare import OVERALL, Agreement, agreement
from inspector_plugin.data.folds import split
from inspector_plugin.judges.lager.aggregation import (
    Array,
    aggregate,
    expected_scores,
    scores_by_state,
    uniform_weights,
)
from inspector_plugin.judges.lager.plan import TuningPlan
from inspector_plugin.judges.lager.presets import PRESETS, Aggregation
from inspector_plugin.judges.lager.tuning import tune
from inspector_plugin.schema.criteria import Scale
from inspector_plugin.schema.records import CriterionScore

Logits = npt.NDArray[np.floating]
TUNED = "tuned"
UNTUNED = "untuned"


@dataclass(frozen=True)
class Labelled:
    """Rows with score-token logits and stored scores.

    Attributes:
        logits: [rows, states, K].
        scores: The stored scores, [rows].
        keys: The key of each row's criterion.
        problems: The problem of each row; intervals and folds keep its rows together.
        scale: The scale of the scores.
    """

    logits: Logits
    scores: Array
    keys: tuple[str, ...]
    problems: tuple[str, ...]
    scale: Scale

    @property
    def labels(self) -> npt.NDArray[np.intp]:
        """The label nearest to each score, [rows]."""
        return np.array([self.scale.nearest(score) for score in self.scores], dtype=np.intp)

    def take(self, rows: Sequence[int] | Array) -> Labelled:
        """Return some of the rows."""
        return Labelled(
            self.logits[rows],
            self.scores[rows],
            tuple(self.keys[row] for row in rows),
            tuple(self.problems[row] for row in rows),
            self.scale,
        )


def held_out_probabilities(
    data: Labelled, aggregation: Aggregation, plan: TuningPlan, folds: int
) -> Array:
    """Judge each row by weights that were learnt without the rows of its problem.

    Args:
        data: The rows.
        aggregation: The states that count and the way of combining.
        plan: How to learn.
        folds: Number of folds.

    Returns:
        [rows, K].
    """
    states = aggregation.states(data.logits.shape[1])
    labels = data.labels
    probabilities = np.empty((len(labels), data.logits.shape[2]))
    for train, test in split(labels, np.array(data.problems), folds, plan.seed):
        fitting = data.take(train)
        learnt = tune(
            fitting.logits,
            fitting.scores,
            data.scale,
            states,
            aggregation.combine,
            plan,
        )
        probabilities[test] = aggregate(data.logits[test], learnt.weights, aggregation.combine)
    return probabilities


def probabilities_of(data: Labelled, aggregation: Aggregation) -> Array:
    """Judge rows with all states that count weighing alike."""
    weights = uniform_weights(aggregation, data.logits.shape[1])
    return aggregate(data.logits, weights, aggregation.combine)


def agreement_by_criterion(
    data: Labelled, probabilities: Array, score: str, seed: int, resamples: int = 1000
) -> dict[str, Agreement]:
    """Compare scores with the stored ones, for each criterion and for all together.

    Args:
        data: The rows.
        probabilities: [rows, K].
        score: "expected" or "argmax".
        seed: Seed of the intervals.
        resamples: Number of bootstrap resamples.
    """
    labels = [data.scale.labels[index] for index in probabilities.argmax(axis=1)]
    expected = expected_scores(probabilities, data.scale.labels)
    ours = [
        CriterionScore(float(label if score == "argmax" else value), label, scale=data.scale)
        for label, value in zip(labels, expected, strict=True)
    ]
    theirs = _stored(data)
    groups = {
        key: [row for row, other in enumerate(data.keys) if other == key]
        for key in dict.fromkeys(data.keys)
    }
    groups[OVERALL] = list(range(len(theirs)))
    return {
        key: agreement(
            [ours[row] for row in rows],
            [theirs[row] for row in rows],
            [data.problems[row] for row in rows],
            seed=seed,
            resamples=resamples,
        )
        for key, rows in groups.items()
    }


def tuning_figures(data: Labelled, held_out: Array, aggregation: Aggregation, seed: int) -> Any:
    """Compare tuned weights with no tuning and with the last layer alone.

    Args:
        data: The rows.
        held_out: Probabilities by tuned weights, from `held_out_probabilities`.
        aggregation: What the weights are tuned for.
        seed: Seed of the intervals.

    Returns:
        By condition and criterion: n, and the statistics with their intervals.
    """
    conditions = {
        "direct": (probabilities_of(data, PRESETS["direct"]), "argmax"),
        "e-score": (probabilities_of(data, PRESETS["e-score"]), "expected"),
        UNTUNED: (probabilities_of(data, aggregation), "expected"),
        TUNED: (held_out, "expected"),
    }
    return {
        name: {
            key: to_json(figures)
            for key, figures in agreement_by_criterion(data, *condition, seed).items()
        }
        for name, condition in conditions.items()
    }


def spearman_by_state(data: Labelled) -> list[float | None]:
    """Spearman's correlation of each state's own expected score with the stored scores."""
    values = []
    for scores in scores_by_state(data.logits, data.scale.labels).T:
        ours = [
            CriterionScore(float(score), data.scale.nearest(score), scale=data.scale)
            for score in scores
        ]
        compared = agreement(ours, _stored(data), data.problems, resamples=0)
        spearman = compared.statistics["spearman"]
        values.append(None if spearman is None else round(spearman.value, 4))
    return values


def _stored(data: Labelled) -> list[CriterionScore]:
    pairs = zip(data.scores, data.labels, strict=True)
    return [CriterionScore(float(score), int(label), scale=data.scale) for score, label in pairs]


def to_json(compared: Agreement) -> Mapping[str, Any]:
    """Return plain values for a card."""
    figures: dict[str, Any] = {"n": compared.n}
    for name in ("spearman", "macro_f1"):
        estimate = compared.statistics[name]
        figures[name] = estimate and {
            end: None if value is None else round(value, 4)
            for end, value in (
                ("value", estimate.value),
                ("low", estimate.low),
                ("high", estimate.high),
            )
        }
    return figures
