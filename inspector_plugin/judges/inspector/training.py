"""Training: from scored rows to probe packs, with honest figures beside the baselines."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from threadpoolctl import threadpool_limits

from inspector_plugin import __version__
from inspector_plugin.data.folds import split
from inspector_plugin.data.problems import problem_key
from inspector_plugin.data.scored_rows import ScoredRow, problems_of
from inspector_plugin.errors import OptionError
from inspector_plugin.judges.inspector.calibration import calibration
from inspector_plugin.judges.inspector.classifiers import Array
from inspector_plugin.judges.inspector.figures import all_figures, label_indices
from inspector_plugin.judges.inspector.layout import PromptLayout, layout_for
from inspector_plugin.judges.inspector.packs import label_scale
from inspector_plugin.judges.inspector.plan import TrainingPlan
from inspector_plugin.judges.inspector.probe import Probe
from inspector_plugin.judges.inspector.representation import Representation
from inspector_plugin.judges.inspector.selection import (
    Choice,
    Grid,
    Rows,
    choose,
    fit_members,
    nested_probabilities,
)
from inspector_plugin.judges.inspector.temperature import best_temperature, tempered_by_folds
from inspector_plugin.lm.feature_store import FeatureStore, every_feature, read_features
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.plan import ATTENTION_ENTROPY, Feature, ForwardPlan
from inspector_plugin.lm.pooling import POOLINGS
from inspector_plugin.lm.tokens import encode
from inspector_plugin.schema.criteria import Criterion
from inspector_plugin.schema.records import JudgeRequest

_LIBRARIES = ("numpy", "scikit-learn", "scipy", "torch", "transformers")


@dataclass(frozen=True)
class CriterionData:
    """The scored rows of one criterion, with their features on disk.

    Attributes:
        criterion: The criterion.
        rows: The scored rows.
        layout: How they were laid out as prompts.
        features: For each row the file with its features.
        widths: What the files hold, in order: each feature's number of values.
        layers: Number of layers of the language model.
    """

    criterion: Criterion
    rows: tuple[ScoredRow, ...]
    layout: PromptLayout
    features: tuple[Path, ...]
    widths: Mapping[Feature, int]
    layers: int


def card_head(language_model: LanguageModel, plan: TrainingPlan, data_hash: str) -> dict[str, Any]:
    """What a card says of a whole pack."""
    versions = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    # Said only where it matters.
    heads = {"attention_heads": language_model.attention_heads}
    return {
        "language_model": {
            "name": language_model.name,
            "fingerprint": language_model.fingerprint,
            "layers": language_model.layers,
            "hidden_size": language_model.hidden_size,
            "dtype": language_model.dtype,
            **(heads if ATTENTION_ENTROPY in plan.screened_poolings else {}),
        },
        "dataset": plan.dataset,
        "labels": plan.labels,
        "transferred": False,
        "training": {
            "data_sha256": data_hash,
            "layout": plan.layout,
            "seed": plan.seed,
            "folds": plan.folds,
            "members": plan.members,
            "highest_layer": plan.top(language_model.layers),
            "layer_step": plan.layer_step,
            "poolings": list(plan.screened_poolings),
            "classifiers": [settings.to_json() for settings in plan.classifiers],
            **({"calibrated": True} if plan.calibrated else {}),
            "versions": {"inspector_plugin": __version__, **versions},
        },
    }


def require_layer(plan: TrainingPlan, language_model: LanguageModel) -> None:
    """Refuse a highest layer that a language model does not have.

    Raises:
        OptionError: If there is no such layer.
    """
    if plan.highest_layer is not None and not 0 <= plan.highest_layer < language_model.layers:
        raise OptionError(
            f"The highest layer must be from 0 to {language_model.layers - 1} for "
            f"{language_model.name!r}, not {plan.highest_layer}."
        )


def extract_features(
    rows: Sequence[ScoredRow],
    criterion: Criterion,
    language_model: LanguageModel,
    plan: TrainingPlan,
    store: FeatureStore,
    batch_size: int | None = None,
) -> CriterionData:
    """Run one criterion's rows through the language model, as far as that was not done before.

    Args:
        rows: Scored rows, on any criteria; those of the criterion that hold text are used.
        criterion: The criterion.
        language_model: The model whose hidden states are probed.
        plan: Names the data set, the prompt layout and the poolings.
        store: Where features are kept.
        batch_size: The most prompts in a batch; None for as many as fit.

    Raises:
        OptionError: If the plan names a prompt layout or a layer that there is not.
    """
    layout = layout_for(plan.layout, criterion, plan.dataset)
    require_layer(plan, language_model)
    chosen = _usable(rows, criterion)
    # All poolings are kept, so that a later training run may choose others.
    attention = ATTENTION_ENTROPY in plan.screened_poolings
    poolings = (*POOLINGS, ATTENTION_ENTROPY) if attention else POOLINGS
    features = every_feature(language_model.layers, layout.screened_spans, poolings)
    requests = [JudgeRequest(row.question, row.response, (criterion,)) for row in chosen]
    encodings = [
        encode(language_model, layout.segments(request), suffixes=layout.suffixes)
        for request in requests
    ]
    forward = ForwardPlan(features, batch_size)
    paths = store.extract(language_model, encodings, forward, f"Features ({criterion.key})")
    widths = {feature: feature.width(language_model) for feature in features}
    return CriterionData(criterion, chosen, layout, tuple(paths), widths, language_model.layers)


def representations(
    plan: TrainingPlan, layers: int, spans: Sequence[str]
) -> tuple[Representation, ...]:
    """All that is screened in a model of so many layers, the highest layer first."""
    return tuple(
        Representation(layer, span, pooling)
        for layer in range(plan.top(layers), -1, -plan.layer_step)
        for span in spans
        for pooling in plan.screened_poolings
    )


def why_not_trainable(
    rows: Sequence[ScoredRow], criterion: Criterion, plan: TrainingPlan
) -> str | None:
    """Say why no probe can be trained for a criterion; None if one can.

    Args:
        rows: Scored rows, on any criteria.
        criterion: The criterion.
        plan: Names the labels and the folds.
    """
    if criterion.of_question:
        return "it judges the question alone, and probes read responses"
    chosen = _usable(rows, criterion)
    if not chosen:
        return "no row is scored on it"
    scale = label_scale(criterion, plan.labels)
    if any(row.scale not in (scale, criterion.scale) for row in chosen):
        return f"some scores are low/high quality only, and the labels are {scale.name}"
    labels, groups = label_indices(chosen, scale), np.array(problems_of(chosen))
    # Inner folds split what the outer folds leave.
    needed = plan.folds + 2
    for index, label in enumerate(scale.labels):
        problems = len(set(groups[labels == index]))
        if problems < needed:
            return (
                f"label {label} occurs in {problems} problems, and {plan.folds} folds need at "
                f"least {needed}; give more rows, or fewer folds"
            )
    if not _folds_hold_every_label(labels, groups, plan):
        return (
            f"some of the {plan.folds} folds would be fitted without a row of every label; give "
            "more rows, or fewer folds"
        )
    return None


def _folds_hold_every_label(labels: Array, groups: Array, plan: TrainingPlan) -> bool:
    """Whether every fold, outer and inner, leaves rows of every label to fit on."""
    known = len(np.unique(labels))
    for outer, _ in split(labels, groups, plan.folds, plan.seed):
        if len(np.unique(labels[outer])) < known:
            return False
        for inner, _ in split(labels[outer], groups[outer], plan.folds, plan.seed):
            if len(np.unique(labels[outer][inner])) < known:
                return False
    return True


def _usable(rows: Sequence[ScoredRow], criterion: Criterion) -> tuple[ScoredRow, ...]:
    """The rows to learn a criterion from."""
    return tuple(row for row in rows if row.criterion == criterion and row.can_be_judged)


def train_probe(data: CriterionData, plan: TrainingPlan) -> Probe:
    """Choose and fit the probe of one criterion, and measure it by nested cross-validation.

    Args:
        data: The rows and their features; `why_not_trainable` has nothing against them.
        plan: How to train.
    """
    scale = label_scale(data.criterion, plan.labels)
    labels = label_indices(data.rows, scale)
    groups = np.array(problems_of(data.rows))
    pooled = read_features(data.features, data.widths)
    rows = Rows(lambda chosen: chosen.select(pooled), labels, groups)
    screened = representations(plan, data.layers, data.layout.screened_spans)
    grid = Grid(screened, plan.classifiers, plan.members, plan.folds)
    # More threads only get in each other's way on matrices of a few hundred rows.
    with threadpool_limits(1):
        folds = split(labels, groups, plan.folds, plan.seed)
        probabilities = nested_probabilities(rows, grid, folds, plan.seed)
        choice = choose(rows, grid, plan.seed)
        members = fit_members(rows, choice, plan.seed)
        calibrated = (
            _calibration(probabilities, labels, folds, plan.seed) if plan.calibrated else {}
        )
        figures = all_figures(probabilities, data.rows, scale, folds, plan.seed)
    record = {
        "classifier": choice.settings.to_json(),
        "rows": len(data.rows),
        "problems": len(set(groups)),
        "figures": figures,
        **calibrated,
        "screening": _screening(choice),
        "problem_keys": sorted(
            {problem_key(data.layout.question(row.question)) for row in data.rows}
        ),
    }
    return Probe(data.criterion, data.layout, members, record)


def _calibration(
    probabilities: Array, labels: Array, folds: Sequence[tuple[Array, Array]], seed: int
) -> dict[str, Any]:
    """Fit the temperature, and measure it: each fold by the temperature of the others."""
    return {
        "temperature": best_temperature(probabilities, labels),
        "calibration": calibration(tempered_by_folds(probabilities, labels, folds), labels, seed),
        "calibration_before": calibration(probabilities, labels, seed),
    }


def train_probes(
    data: Sequence[CriterionData], plan: TrainingPlan, jobs: int = 1
) -> Iterator[Probe]:
    """Train the probes of several criteria, in several processes.

    Yields:
        Each probe as soon as it is done.
    """
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")
    yield from parallel(joblib.delayed(train_probe)(each, plan) for each in data)


def _screening(choice: Choice) -> list[dict[str, Any]]:
    """The macro F1 that each representation reached while choosing: the curve over layers."""
    return [
        {
            "layer": representation.layer,
            "span": representation.span,
            "pooling": representation.pooling,
            "macro_f1": round(figure, 4),
        }
        for representation, figure in sorted(choice.screening.items())
    ]
