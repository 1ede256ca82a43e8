"""`inspector train`: probes for any language model, on scored rows."""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inspector_plugin.cli import flags
from inspector_plugin.data.files import locked
from inspector_plugin.data.scored_rows import ScoredRow, data_sha256, read_scored
from inspector_plugin.errors import DataError, OptionError
from inspector_plugin.judges.inspector.plan import TrainingPlan, require_dataset_name
from inspector_plugin.judges.running import RunningOptions
from inspector_plugin.progress import Progress
from inspector_plugin.report.packs import pack_table, surface_verdicts
from inspector_plugin.report.tables import WIDTH, plain, print_tables
from inspector_plugin.schema.criteria import LABELS
from inspector_plugin.schema.criteria_files import parse_criteria
from inspector_plugin.schema.roscoe import ROSCOE

if TYPE_CHECKING:
    from inspector_plugin.judges.inspector.training import CriterionData


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the command's parser."""
    parser = commands.add_parser(
        "train",
        description="Train a probe for each criterion of DATA, and measure it by nested "
        "cross-validation, grouped by problem, beside surface baselines. DATA is a judgement file, "
        "or rows of question, response, criterion and score. A run that was interrupted resumes "
        "when it is called again. A criterion that cannot be trained is skipped, with the reason.",
    )
    parser.add_argument("data", metavar="DATA", type=Path, help="scored rows, .jsonl or .jsonl.gz")
    parser.add_argument(
        "--dataset", required=True, metavar="NAME", help="name of the data set, such as gsm8k"
    )
    parser.add_argument("--out", required=True, type=Path, help="folder for the packs")
    parser.add_argument("--model", default="smollm2-135m-instruct", help="language model")
    parser.add_argument("--labels", action="append", choices=LABELS, help="default: both")
    flags.add_criteria_flag(
        parser, "the criteria that DATA is scored on: roscoe, some of its keys, or criteria files"
    )
    flags.add_scored_by_flag(parser)
    flags.add_options(parser, TrainingPlan)
    parser.add_argument(
        "--jobs", type=flags.positive, metavar="N", help="processes; default: one per core"
    )
    flags.add_options(parser, RunningOptions)
    parser.add_argument("--transfer-to", metavar="DATASET", help="serve this data set as well")
    parser.add_argument("--overwrite", action="store_true", help="replace packs of another run")
    parser.set_defaults(run_command=_train)


def _train(options: argparse.Namespace) -> int:
    _check(options)
    plans = [_plan(options, labels) for labels in options.labels or LABELS]
    criteria = None if options.criteria is None else parse_criteria(options.criteria)
    rows = read_scored(options.data, criteria, options.scored_by)
    present = [each for each in criteria or ROSCOE if any(row.criterion == each for row in rows)]
    if not present:
        keys = ", ".join(criterion.key for criterion in criteria or ROSCOE)
        raise DataError(f"{options.data} holds no scores to train on ({keys}).")
    # Torch and scikit-learn take seconds to import; a mistake in DATA shows before that.
    from inspector_plugin.judges.inspector.training import extract_features, why_not_trainable
    from inspector_plugin.lm.batches import parse_batch_size
    from inspector_plugin.lm.feature_store import FeatureStore
    from inspector_plugin.lm.loading import load_language_model

    skipped = {
        (plan.labels, criterion.key): reason
        for plan in plans
        for criterion in present
        if (reason := why_not_trainable(rows, criterion, plan)) is not None
    }
    for (labels, key), reason in skipped.items():
        print(plain(f"inspector train: skipped {key} ({labels}): {reason}"), file=sys.stderr)
    if len(skipped) == len(plans) * len(present):
        raise DataError(f"{options.data}: no criterion can be trained; the reasons are above.")
    language_model = load_language_model(options.model, options.device, options.dtype)
    batch_size, store = parse_batch_size(options.batch_size), FeatureStore()
    data = {
        criterion: extract_features(rows, criterion, language_model, plans[0], store, batch_size)
        for criterion in present
        if any((plan.labels, criterion.key) not in skipped for plan in plans)
    }
    for plan in plans:
        trainable = [each for key, each in data.items() if (plan.labels, key.key) not in skipped]
        if trainable:
            _train_pack(options, plan, trainable, rows, language_model)
    return 0


def _check(options: argparse.Namespace) -> None:
    """Refuse, before anything is trained, names that packs cannot be written under."""
    if options.out.exists() and not options.out.is_dir():
        raise OptionError(f"--out {options.out} is a file; give a folder.")
    if options.transfer_to is not None:
        require_dataset_name(options.transfer_to)
        if options.transfer_to == options.dataset:
            raise OptionError(f"--transfer-to: {options.dataset!r} is what the probes are for.")


def _plan(options: argparse.Namespace, labels: str) -> TrainingPlan:
    chosen = flags.chosen_options(options, TrainingPlan)
    return dataclasses.replace(TrainingPlan(options.dataset, labels), **chosen)


def _train_pack(
    options: argparse.Namespace,
    plan: TrainingPlan,
    data: Sequence[CriterionData],
    rows: Sequence[ScoredRow],
    language_model: Any,
) -> None:
    """Train one pack, and print its figures."""
    from inspector_plugin.judges.inspector.pack_folders import pack_folder
    from inspector_plugin.judges.inspector.packs import read_card, write_transfer
    from inspector_plugin.judges.inspector.training import card_head

    folder = pack_folder(options.out, language_model.name, options.dataset, plan.labels)
    head = card_head(language_model, plan, data_sha256(rows))
    with locked(folder):
        _fit(folder, head, data, plan, options)
    if options.transfer_to:
        target = pack_folder(options.out, language_model.name, options.transfer_to, plan.labels)
        write_transfer(target, options.transfer_to, folder)
    card = read_card(folder)
    print_tables(pack_table(card, str(folder)))
    for line in surface_verdicts(card):
        print(textwrap.fill(plain(line), WIDTH, subsequent_indent="  "))


def _fit(
    folder: Path,
    head: dict[str, Any],
    data: Sequence[CriterionData],
    plan: TrainingPlan,
    options: argparse.Namespace,
) -> None:
    """Train what the folder does not hold yet, writing each probe as soon as it is done."""
    from inspector_plugin.judges.inspector.packs import finished_criteria, write_probe
    from inspector_plugin.judges.inspector.training import train_probes

    if options.overwrite and folder.exists():
        shutil.rmtree(folder)
    done = finished_criteria(folder, head)
    missing = [each for each in data if done.get(each.criterion.key) != each.criterion.fingerprint]
    description = f"Training ({plan.dataset}, {plan.labels})"
    with Progress(len(missing), description, "probe") as progress:
        for probe in train_probes(missing, plan, options.jobs or -1):
            write_probe(folder, head, probe)
            progress.advance()
