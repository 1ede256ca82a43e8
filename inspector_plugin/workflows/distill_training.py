"""From labels to a pack of calibrated probes: `inspector train`, for the criteria that can be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inspector_plugin.data.files import write_whole
from inspector_plugin.data.scored_rows import ScoredRow, data_sha256, read_scored
from inspector_plugin.errors import DataError, PackError
from inspector_plugin.judges.inspector.plan import TrainingPlan
from inspector_plugin.judges.packs import CARD
from inspector_plugin.progress import Progress
from inspector_plugin.schema.criteria import LABELS, Criterion
from inspector_plugin.workflows.distill_choice import TRAINING
from inspector_plugin.workflows.distill_labels import split_labels
from inspector_plugin.workflows.distill_plan import AUTO, DATASET, DistillPlan

if TYPE_CHECKING:
    from inspector_plugin.lm.loading import LanguageModel


@dataclass(frozen=True)
class TrainedPack:
    """The pack that came of the labels.

    Attributes:
        folder: Its folder.
        labels: "multiclass" or "binary".
        criteria: What it has probes for.
        skipped: Why there is no probe for the others, by key.
        rows: How many labelled rows there were to train on.
    """

    folder: Path
    labels: str
    criteria: tuple[Criterion, ...]
    skipped: Mapping[str, str]
    rows: int


@dataclass(frozen=True)
class Trainable:
    """What can be trained on one kind of labels.

    Attributes:
        plan: How.
        criteria: The criteria that can be.
        skipped: Why the others cannot, by key.
    """

    plan: TrainingPlan
    criteria: tuple[Criterion, ...]
    skipped: Mapping[str, str]


def load_probed_model(plan: DistillPlan) -> LanguageModel:
    """Load the language model that the probes read, before anything is paid for.

    Raises:
        ModelError: If it cannot be loaded.
        OptionError: If its layers, or the device, are others than those asked for.
    """
    from inspector_plugin.judges.inspector.training import require_layer
    from inspector_plugin.lm.loading import load_language_model

    language_model = load_language_model(plan.model, plan.running.device, plan.running.dtype)
    require_layer(plan.training, language_model)
    return language_model


def train_pack(plan: DistillPlan, language_model: LanguageModel) -> TrainedPack:
    """Train a probe for each criterion, as far as an earlier call has not.

    Probes that an earlier call has trained on other labels, or otherwise, are replaced.

    Args:
        plan: What is asked for.
        language_model: The language model that the probes read.

    Raises:
        DataError: If no criterion can be trained.
    """
    rows = training_rows(plan)
    chosen = choose_labels(plan, rows)
    folder = _train(plan, chosen, rows, language_model)
    count = len({(row.id, row.question, row.response) for row in rows})
    return TrainedPack(folder, chosen.plan.labels, chosen.criteria, chosen.skipped, count)


def training_rows(plan: DistillPlan) -> list[ScoredRow]:
    """Write the labelled rows to train on into a file of their own, and read them as scores."""
    lines = "".join(json.dumps(row) + "\n" for row in split_labels(plan, TRAINING))
    write_whole(plan.training_rows, lines.encode())
    return read_scored(plan.training_rows, plan.form.criteria, plan.reference.name)


def choose_labels(plan: DistillPlan, rows: Sequence[ScoredRow]) -> Trainable:
    """Choose the labels: those asked for, or whichever more criteria can be trained on.

    Where both kinds serve as many, it is the criteria's own scales.

    Raises:
        DataError: If no criterion can be trained.
    """
    kinds = LABELS if plan.probe_labels == AUTO else (plan.probe_labels,)
    found = [_trainable(plan, rows, labels) for labels in kinds]
    best = max(found, key=lambda each: len(each.criteria))
    if best.criteria:
        return best
    said = "; ".join(
        f"{key} ({each.plan.labels}): {reason}"
        for each in found
        for key, reason in each.skipped.items()
    )
    raise DataError(
        f"No probe can be trained on the labels of {plan.reference.name} ({said}). The labels stay "
        f"in {plan.labelled}."
    )


def _trainable(plan: DistillPlan, rows: Sequence[ScoredRow], labels: str) -> Trainable:
    from inspector_plugin.judges.inspector.training import why_not_trainable

    training = replace(plan.training, labels=labels, calibrated=True)
    reasons = {
        criterion: _constant(rows, criterion) or why_not_trainable(rows, criterion, training)
        for criterion in plan.form.criteria
    }
    return Trainable(
        training,
        tuple(criterion for criterion, reason in reasons.items() if reason is None),
        {criterion.key: reason for criterion, reason in reasons.items() if reason is not None},
    )


def _constant(rows: Sequence[ScoredRow], criterion: Criterion) -> str | None:
    """Say that the reference tells no responses apart, where it gives all the same score."""
    scores = [row.score for row in rows if row.criterion == criterion]
    if len(scores) < 2 or len(set(scores)) > 1:
        return None
    return (
        f"the reference gives all {len(scores)} responses the score {scores[0]:g}, so that there "
        "is nothing to learn"
    )


def _train(
    plan: DistillPlan,
    chosen: Trainable,
    rows: Sequence[ScoredRow],
    language_model: LanguageModel,
) -> Path:
    """Train what the pack does not hold yet, writing each probe as soon as it is done."""
    from inspector_plugin.judges.inspector.pack_folders import pack_folder
    from inspector_plugin.judges.inspector.packs import finished_criteria, write_probe
    from inspector_plugin.judges.inspector.training import (
        card_head,
        extract_features,
        train_probes,
    )
    from inspector_plugin.lm.batches import parse_batch_size
    from inspector_plugin.lm.feature_store import FeatureStore

    training = chosen.plan
    folder = pack_folder(plan.probes, language_model.name, training.dataset, training.labels)
    head = card_head(language_model, training, data_sha256(rows))
    _remove_others(plan, folder)
    try:
        done = finished_criteria(folder, head)
    except PackError:  # of other labels or options, or damaged
        shutil.rmtree(folder)
        done = {}
    missing = [each for each in chosen.criteria if done.get(each.key) != each.fingerprint]
    batch_size, store = parse_batch_size(plan.running.batch_size), FeatureStore()
    data = [
        extract_features(rows, each, language_model, training, store, batch_size)
        for each in missing
    ]
    with Progress(len(missing), f"Training ({training.labels})", "probe") as progress:
        for probe in train_probes(data, training, plan.running.jobs or -1):
            write_probe(folder, head, probe)
            progress.advance()
    return folder


def _remove_others(plan: DistillPlan, folder: Path) -> None:
    """Remove packs of an earlier call, of another language model or on other labels.

    Beside them, the judge's specification would not say which is meant.
    """
    for card in sorted(plan.probes.glob(f"*/{DATASET}/*/{CARD}")):
        if card.parent != folder:
            shutil.rmtree(card.parent)


def pack_card(pack: TrainedPack) -> dict[str, Any]:
    """What the card says of the pack."""
    from inspector_plugin.judges.inspector.packs import read_card

    return read_card(pack.folder)
