"""Training: from scored rows to probe packs, with honest figures beside the baselines."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from threadpoolctl import threadpool_limits

from inspector_plugin import __version__
from inspector_plugin.aspects import get_aspect
from inspector_plugin.errors import DataError, OptionError, one_of
from inspector_plugin.lm.loading import LanguageModel
from inspector_plugin.lm.plan import ATTENTION_ENTROPY, Feature, ForwardPlan
from inspector_plugin.lm.pooling import POOLINGS
from inspector_plugin.lm.tokens import encode
from inspector_plugin.probing.classifiers import ClassifierSettings
from inspector_plugin.probing.features import FeatureStore, every_feature, read_features
from inspector_plugin.probing.figures import all_figures, label_indices
from inspector_plugin.probing.layout import DEFAULT_LAYOUT, PromptLayout, layout_for
from inspector_plugin.probing.probe import Probe
from inspector_plugin.probing.representation import CONCAT, PROBE_POOLINGS, Representation
from inspector_plugin.probing.selection import (
    Choice,
    Grid,
    Rows,
    choose,
    fit_members,
    nested_probabilities,
    split,
)
from inspector_plugin.problems import problem_key
from inspector_plugin.schema import SCALES, JudgeRequest, Scale
from inspector_plugin.scored import ScoredRow, problems_of

DEFAULT_CLASSIFIERS = (
    *(
        ClassifierSettings("logistic_regression", strength, components)
        for strength in (0.001, 0.01, 0.1, 1.0)
        for components in (None, 50)
    ),
    ClassifierSettings("linear_svm", 0.01, 50),
    ClassifierSettings("rbf_svm", 1.0, 50),
)
_LIBRARIES = ("numpy", "scikit-learn", "scipy", "torch", "transformers")


@dataclass(frozen=True)
class TrainingPlan:
    """What to train and how.

    Attributes:
        dataset: The name under which the probes are kept.
        labels: "multiclass" or "binary".
        layout: The prompt layout's name.
        folds: Outer folds, and inner folds of each choice.
        members: How many representations a probe averages over.
        highest_layer: The highest layer to look at; None for the one two thirds of the way up. A
            judge runs no layer above the highest that a probe takes in.
        layer_step: Screen every so many layers, counted down from the highest.
        poolings: The poolings to screen.
        seed: Seed of folds, classifiers and intervals.
        classifiers: The classifiers to choose from.
    """

    dataset: str
    labels: str
    layout: str = DEFAULT_LAYOUT
    folds: int = 5
    members: int = 5
    highest_layer: int | None = None
    layer_step: int = 3
    poolings: tuple[str, ...] = ("mean", "last", CONCAT)
    seed: int = 0
    classifiers: tuple[ClassifierSettings, ...] = field(default=DEFAULT_CLASSIFIERS)

    def __post_init__(self) -> None:
        for pooling in self.poolings:
            if pooling not in PROBE_POOLINGS:
                raise OptionError(one_of(pooling, PROBE_POOLINGS, "pooling"))

    @property
    def scale(self) -> Scale:
        """The labels' scale."""
        return SCALES[self.labels]

    def top(self, layers: int) -> int:
        """The highest layer to look at in a model of so many layers."""
        return 2 * layers // 3 if self.highest_layer is None else self.highest_layer

    def representations(self, layers: int, spans: Sequence[str]) -> tuple[Representation, ...]:
        """All that is screened in a model of so many layers, the highest layer first."""
        return tuple(
            Representation(layer, span, pooling)
            for layer in range(self.top(layers), -1, -self.layer_step)
            for span in spans
            for pooling in self.poolings
        )


@dataclass(frozen=True)
class AspectData:
    """The scored rows of one aspect, with their features on disk.

    Attributes:
        aspect: The aspect's key.
        rows: The scored rows.
        layout: How they were laid out as prompts.
        features: For each row the file with its features.
        widths: What the files hold, in order: each feature's number of values.
        layers: Number of layers of the language model.
    """

    aspect: str
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
            **(heads if ATTENTION_ENTROPY in plan.poolings else {}),
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
            "poolings": list(plan.poolings),
            "classifiers": [settings.to_json() for settings in plan.classifiers],
            "versions": {"inspector_plugin": __version__, **versions},
        },
    }


def extract_features(
    rows: Sequence[ScoredRow],
    aspect: str,
    language_model: LanguageModel,
    plan: TrainingPlan,
    store: FeatureStore,
    batch_size: int | None = None,
) -> AspectData:
    """Run one aspect's rows through the language model, as far as that was not done before.

    Args:
        rows: Scored rows, of any aspects; those of the aspect that hold text are used.
        aspect: The aspect's key.
        language_model: The model whose hidden states are probed.
        plan: Names the prompt layout and the poolings.
        store: Where features are kept.
        batch_size: The most prompts in a batch; None for as many as fit.

    Raises:
        OptionError: If the plan names a prompt layout or a layer that there is not.
    """
    layout = layout_for(plan.layout, get_aspect(aspect))
    if plan.highest_layer is not None and not 0 <= plan.highest_layer < language_model.layers:
        raise OptionError(
            f"The highest layer must be from 0 to {language_model.layers - 1} for "
            f"{language_model.name!r}, not {plan.highest_layer}."
        )
    # A judge leaves an empty response unscored, so there is nothing to learn from one.
    chosen = tuple(
        row
        for row in rows
        if row.aspect == aspect and row.response.strip() and row.question.strip()
    )
    # All poolings are kept, so that a later training run may choose others.
    attention = ATTENTION_ENTROPY in plan.poolings
    poolings = (*POOLINGS, ATTENTION_ENTROPY) if attention else POOLINGS
    features = every_feature(language_model.layers, layout.screened_spans, poolings)
    requests = [JudgeRequest(row.question, row.response, (aspect,)) for row in chosen]
    encodings = [
        encode(language_model, layout.segments(request), suffixes=layout.suffixes)
        for request in requests
    ]
    forward = ForwardPlan(features, batch_size)
    paths = store.extract(language_model, encodings, forward, f"Features ({aspect})")
    widths = {feature: feature.width(language_model) for feature in features}
    return AspectData(aspect, chosen, layout, tuple(paths), widths, language_model.layers)


def train_probe(data: AspectData, plan: TrainingPlan) -> Probe:
    """Choose and fit the probe of one aspect, and measure it by nested cross-validation.

    Args:
        data: The rows and their features.
        plan: How to train.

    Raises:
        DataError: If a label has fewer problems than there are folds.
    """
    labels = label_indices(data.rows, plan.scale)
    groups = np.array(problems_of(data.rows))
    _require_problems(labels, groups, data.aspect, plan)
    pooled = read_features(data.features, data.widths)
    rows = Rows(lambda chosen: chosen.select(pooled), labels, groups)
    screened = plan.representations(data.layers, data.layout.screened_spans)
    grid = Grid(screened, plan.classifiers, plan.members, plan.folds)
    # More threads only get in each other's way on matrices of a few hundred rows.
    with threadpool_limits(1):
        folds = split(labels, groups, plan.folds, plan.seed)
        probabilities = nested_probabilities(rows, grid, folds, plan.seed)
        choice = choose(rows, grid, plan.seed)
        members = fit_members(rows, choice, plan.seed)
        figures = all_figures(probabilities, data.rows, plan.scale, folds, plan.seed)
    record = {
        "classifier": choice.settings.to_json(),
        "rows": len(data.rows),
        "problems": len(set(groups)),
        "figures": figures,
        "screening": _screening(choice),
        "problem_keys": sorted({problem_key(row.question) for row in data.rows}),
    }
    return Probe(data.aspect, data.layout, members, record)


def train_probes(data: Sequence[AspectData], plan: TrainingPlan, jobs: int = 1) -> Iterator[Probe]:
    """Train the probes of several aspects, in several processes.

    Yields:
        Each probe as soon as it is done.
    """
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")
    yield from parallel(joblib.delayed(train_probe)(aspect, plan) for aspect in data)


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


def _require_problems(labels: Any, groups: Any, aspect: str, plan: TrainingPlan) -> None:
    for index, label in enumerate(plan.scale.labels):
        problems = len(set(groups[labels == index]))
        # Inner folds split what the outer folds leave.
        needed = plan.folds + 2
        if problems < needed:
            raise DataError(
                f"Aspect {aspect!r}: label {label} occurs in {problems} problems, and {plan.folds} "
                f"folds need at least {needed}; give more rows, or fewer folds."
            )
