"""From examples to a pack: a model for each fold, which is measured, and one that ships.

What judges an example in the figures never saw its problem, nor did what decided when to stop. Each
fold that is done is kept, so that a run that was interrupted resumes where it was, and the base
model is loaded only where one is missing.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inspector_plugin.data.files import read_json, write_whole
from inspector_plugin.errors import PackError
from inspector_plugin.judges.tuned.card_format import MODELS, SHARED
from inspector_plugin.judges.tuned.examples import NO_LABEL, Array, Examples, cut_validation
from inspector_plugin.judges.tuned.packs import write_model
from inspector_plugin.judges.tuned.plan import TuningPlan
from inspector_plugin.judges.tuned.training import steps_of
from inspector_plugin.judges.tuned.tuning_run import TuningRun
from inspector_plugin.progress import Progress

FOLDS = "folds"
_WHOLE = "all"


@dataclass(frozen=True)
class CrossValidated:
    """What cross-validation found.

    Attributes:
        probabilities: Held-out probabilities of the labels, [examples, labels] float64, by
            criterion; NaN where the example has no score on it.
        models: What the card says of the models that ship: name, criteria, epochs, files.
        about_base: What it says of the base model; see `TuningRun.about_base`.
    """

    probabilities: Mapping[str, Array]
    models: Sequence[Mapping[str, Any]]
    about_base: Mapping[str, Any]


@dataclass(frozen=True)
class _Fit:
    """One fit: of one model, without one fold, or of all folds for the pack."""

    model: str
    keys: tuple[str, ...]
    fold: int | None
    fitting: Array
    stopping: Array
    held_out: Array

    @property
    def file(self) -> str:
        return f"{self.model}-{_WHOLE if self.fold is None else self.fold}.json"


def cross_validate(folder: Path, run: TuningRun) -> CrossValidated:
    """Fit all models, those that are done already left out, and write those that ship.

    Args:
        folder: The pack's folder.
        run: What to fit.

    Raises:
        PackError: If the folder holds folds of another run or base, or cannot be written.
        ModelError, OptionError: If the base model is needed, and cannot be loaded or used.
    """
    plan, examples = run.plan, run.examples
    fits = _fits(examples, plan)
    read = {fit.file: _read(folder / FOLDS / fit.file, run.name) for fit in fits}
    done = {file: content for file, content in read.items() if content is not None}
    missing = [fit for fit in fits if fit.file not in done]
    if missing and done:
        _require_same_base(folder, next(iter(done.values())), run.about_base())
    total = sum(steps_of(len(fit.fitting), plan) for fit in fits)
    left = sum(steps_of(len(fit.fitting), plan) for fit in missing)
    with Progress(total, "Tuning", "step", total - left) as progress:
        for fit in missing:
            where = f"{fit.model}, {'all folds' if fit.fold is None else f'fold {fit.fold + 1}'}"
            done[fit.file] = _run(folder, run, fit, progress, where)
    probabilities = {
        each.key: np.full((len(examples), len(plan.scale_of(each).labels)), np.nan)
        for each in examples.criteria
    }
    models = []
    for fit in fits:
        content = done[fit.file]
        for key, rows in content["probabilities"].items():
            probabilities[key][fit.held_out] = np.array(rows)
        if fit.fold is None:
            about = {key: content[key] for key in ("epochs", "validation_loss", "files")}
            models.append({"name": fit.model, "criteria": list(fit.keys), **about})
    for column, criterion in enumerate(examples.criteria):
        probabilities[criterion.key][examples.labels[:, column] == NO_LABEL] = np.nan
    return CrossValidated(probabilities, models, done[fits[0].file]["about_base"])


def remove_folds(folder: Path) -> None:
    """Remove what was kept of the folds, once the pack is there."""
    shutil.rmtree(folder / FOLDS, ignore_errors=True)


def _fits(examples: Examples, plan: TuningPlan) -> list[_Fit]:
    keys = tuple(criterion.key for criterion in examples.criteria)
    groups = {key: (key,) for key in keys} if plan.per_criterion else {SHARED: keys}
    folds = examples.folds(plan.folds)
    fits = []
    for name, own in groups.items():
        columns = [keys.index(key) for key in own]
        has_label = (examples.labels[:, columns] != NO_LABEL).any(axis=1)
        for fold in [*range(plan.folds), None]:
            chosen = np.flatnonzero(has_label & (folds != (-1 if fold is None else fold)))
            held_out = np.flatnonzero(has_label & (folds == fold))
            if fold is None or len(held_out):
                fitting, stopping = cut_validation(examples, chosen, plan, fold)
                held_out = held_out if fold is not None else chosen[:0]
                fits.append(_Fit(name, own, fold, fitting, stopping, held_out))
    return fits


def _run(folder: Path, run: TuningRun, fit: _Fit, progress: Progress, where: str) -> dict[str, Any]:
    """Fit one model, and keep what is wanted of it."""
    plan, tuner, texts = run.plan, run.tuner, run.texts
    number = plan.folds if fit.fold is None else fit.fold
    seed = int(np.random.default_rng([plan.seed, number]).integers(2**31))
    parts = (fit.fitting, fit.stopping)

    def on_step(count: int, note: str) -> None:
        progress.advance(count, f"{where}, {note}" if note else "")

    fitted = tuner.fit(texts, run.examples, fit.keys, parts, seed, on_step)
    held_out = {}
    if fit.fold is not None:
        held_out = fitted.probabilities([texts[place] for place in fit.held_out])
    content: dict[str, Any] = {
        "run": run.name,
        "about_base": run.about_base(),
        "epochs": fitted.epochs,
        "validation_loss": [round(loss, 4) for loss in fitted.validation_loss],
        "probabilities": {key: rows.tolist() for key, rows in held_out.items()},
    }
    try:
        if fit.fold is None:
            content["files"] = write_model(folder / MODELS / fit.model, fitted, plan.kind)
        (folder / FOLDS).mkdir(parents=True, exist_ok=True)
        write_whole(folder / FOLDS / fit.file, (json.dumps(content) + "\n").encode())
    except OSError as error:
        raise PackError(f"Cannot write {folder}: {error}.") from error
    return content


def _require_same_base(
    folder: Path, kept: Mapping[str, Any], about_base: Mapping[str, Any]
) -> None:
    """Refuse to go on from folds that were fitted on other weights of the same name."""
    if kept["about_base"] != about_base:
        raise PackError(
            f"{folder} holds folds of other weights of {about_base['base']['name']!r}; use "
            "--overwrite, or another --out."
        )


def _read(path: Path, run: str) -> dict[str, Any] | None:
    """What an earlier part of this run kept of a fold; None if there is nothing."""
    try:
        content = read_json(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise PackError(f"Cannot read {path}: {error}; remove it, and run again.") from error
    if not isinstance(content, dict) or content.get("run") != run:
        raise PackError(
            f"{path.parent.parent} holds folds of another run; use --overwrite, or another --out."
        )
    return content
