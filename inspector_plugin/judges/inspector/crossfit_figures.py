"""The figures of cross-fitted models: what each fold's chain says of the problems it never saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import confusion_matrix, roc_auc_score

from inspector_plugin.judges.inspector.calibration import (
    calibration,
    coverage_curve,
    pooled_calibration,
)
from inspector_plugin.judges.inspector.crossfit import Chain
from inspector_plugin.judges.inspector.crossfit_data import Excluded, TrainingData
from inspector_plugin.judges.inspector.crossfit_training import Fits, held_out_probabilities
from inspector_plugin.judges.inspector.figures import all_figures, held_out_figures
from inspector_plugin.judges.inspector.packs import label_scale
from inspector_plugin.judges.inspector.training_texts import ATTEMPT, CORRECTNESS, FOLDS

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def criterion_figures(fits: Fits, chains: Sequence[Chain], seed: int) -> dict[str, dict[str, Any]]:
    """What a card says of each criterion.

    Returns:
        By criterion: rows, problems, figures (`nested_cross_validation` is the route of a problem
        that the data holds, judged by its own fold's chain; `averaged_route` that of a new
        problem, judged by the average of chains that never saw it), calibration, confusion.
    """
    data, plan = fits.data, fits.plan
    own = held_out_probabilities(fits, chains)
    averaged = _averaged_route(fits)
    entries: dict[str, dict[str, Any]] = {}
    for key in plan.keys:
        labels = data.labels(key, plan.labels, plan.scored)
        chosen = np.flatnonzero(labels >= 0)
        rows = [data.texts[index].scores[key] for index in chosen]
        folds = data.folds[chosen]
        splits = [(np.flatnonzero(folds != f), np.flatnonzero(folds == f)) for f in range(FOLDS)]
        scale = label_scale(rows[0].criterion, plan.labels)
        figures = all_figures(own[key][chosen], rows, scale, splits, seed)
        figures["averaged_route"] = held_out_figures(averaged[key][chosen], rows, scale, seed)
        predicted = own[key][chosen].argmax(axis=1)
        entries[key] = {
            "rows": len(chosen),
            "problems": len({data.texts[index].problems[0] for index in chosen}),
            "figures": figures,
            "calibration": calibration(own[key][chosen], labels[chosen], seed),
            "confusion": confusion_matrix(
                labels[chosen], predicted, labels=range(len(scale.labels))
            ).tolist(),
        }
    if CORRECTNESS in own:
        entries[CORRECTNESS] = _correctness_figures(fits, own[CORRECTNESS], seed)
    return entries


def pack_figures(fits: Fits, chains: Sequence[Chain], seed: int) -> dict[str, Any]:
    """What a card says of the whole pack: calibration and coverage over criteria, detection."""
    data, plan = fits.data, fits.plan
    own = held_out_probabilities(fits, chains)
    confidences, right = [], []
    for key in plan.keys:
        labels = data.labels(key, plan.labels, plan.scored)
        chosen = labels >= 0
        confidences.append(own[key][chosen].max(axis=1))
        right.append(own[key][chosen].argmax(axis=1) == labels[chosen])
    all_confidences, all_right = np.concatenate(confidences), np.concatenate(right)
    return {
        "calibration": pooled_calibration(all_confidences, all_right, seed),
        "coverage": coverage_curve(all_confidences, all_right),
        "detection": detection(fits),
    }


def detection(fits: Fits) -> dict[str, dict[str, Any]]:
    """The share of responses that get each flag, by kind, from chains that saw none of their text.

    Returns:
        For each kind of made response, and for "real": n, and the shares "off_task",
        "unlike_training", and for nonsense "off_task_untrained": where that kind was left out of
        the training of the hurdle.
    """
    data, plan = fits.data, fits.plan
    own = data.datasets == plan.dataset
    off_task = np.zeros(len(data.texts), dtype=bool)
    unlike = np.zeros(len(data.texts), dtype=bool)
    for excluded, rows in _by_folds(data, own).items():
        chain_of = fits.response_models(excluded)
        inputs = data.inputs.part(rows)
        off_task[rows] = chain_of[0].probability(inputs) < 0.5
        unlike[rows] = chain_of[1].excess(inputs) > 1
    kinds = np.array([text.kind or "real" for text in data.texts])
    found: dict[str, dict[str, Any]] = {}
    for kind in ["real", *sorted(set(kinds[own]) - {"real"})]:
        chosen = own & (kinds == kind)
        found[kind] = {
            "n": int(chosen.sum()),
            "off_task": round(float(off_task[chosen].mean()), 4),
            "unlike_training": round(float(unlike[chosen].mean()), 4),
        }
        if (data.goodness(ATTEMPT)[chosen] == 0).all():
            found[kind]["off_task_untrained"] = _without_kind(fits, kind, chosen)
    return found


def _without_kind(fits: Fits, kind: str, chosen: Bools) -> float:
    """The share found of a kind that the hurdle was fitted without."""
    hits = []
    for excluded, rows in _by_folds(fits.data, chosen).items():
        hurdle = fits.hurdles.attempt_without(kind, excluded, fits.plan.dataset)
        hits.append(hurdle.probability(fits.data.inputs.part(rows)) < 0.5)
    return round(float(np.concatenate(hits).mean()), 4)


def _by_folds(data: TrainingData, chosen: Bools) -> Mapping[Excluded, npt.NDArray[np.int64]]:
    """Rows by the folds of all problems whose text they hold."""
    groups: dict[Excluded, list[int]] = {}
    for row in np.flatnonzero(chosen):
        groups.setdefault(data.texts[row].folds, []).append(int(row))
    return {folds: np.array(rows) for folds, rows in groups.items()}


def _averaged_route(fits: Fits) -> dict[str, Array]:
    """The outer ring: each fold judged by the average of chains that leave out it and another."""
    data = fits.data
    found: dict[str, Array] = {}
    for fold in range(FOLDS):
        chains = [fits.chain(frozenset({fold, other})) for other in range(FOLDS) if other != fold]
        rows = np.flatnonzero((data.folds == fold) & data.real)
        inputs = data.inputs.part(rows)
        for key in fits.plan.keys:
            mean = np.mean([chain.probabilities(inputs, key) for chain in chains], axis=0)
            found.setdefault(key, np.full((len(data.texts), mean.shape[1]), np.nan))[rows] = mean
    return found


def _correctness_figures(fits: Fits, probabilities: Array, seed: int) -> dict[str, Any]:
    """AUC over all solutions, within each author, and of the author's name alone."""
    data = fits.data
    correct = data.correctness()
    known = (correct >= 0) & data.natural
    scores, truth = probabilities[known, 1], correct[known]
    authors = np.array([t.author or t.origin for t, k in zip(data.texts, known, strict=True) if k])
    by_author = {
        str(author): round(float(roc_auc_score(truth[own], scores[own])), 4)
        for author in np.unique(authors)
        if len(set(truth[own := authors == author])) == 2
    }
    shares = {author: truth[authors == author].mean() for author in np.unique(authors)}
    name_alone = np.array([shares[author] for author in authors])
    learnt_on = sorted({t.dataset for t, k in zip(data.texts, known, strict=True) if k})
    transferred = fits.plan.dataset not in learnt_on
    return {
        **({"transferred_from": ", ".join(learnt_on)} if transferred else {}),
        "rows": int(known.sum()),
        "problems": len({t.problems[0] for t, k in zip(data.texts, known, strict=True) if k}),
        "figures": {
            "auc": {
                "all": round(float(roc_auc_score(truth, scores)), 4),
                "within_author": by_author,
                "author_left_out": fits.correctness.author_left_out,
                "author_alone": round(float(roc_auc_score(truth, name_alone)), 4),
            }
        },
        "calibration": calibration(probabilities[known], truth, seed),
        "confusion": confusion_matrix(truth, scores > 0.5, labels=[0, 1]).tolist(),
    }
