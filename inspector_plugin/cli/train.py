"""`inspector train`: fit probe packs to scored rows, and measure them."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from inspector_plugin.aspects import ASPECT_KEYS, parse_aspects
from inspector_plugin.cli import flags
from inspector_plugin.errors import DataError
from inspector_plugin.report.packs import pack_table
from inspector_plugin.report.table import print_tables
from inspector_plugin.scored import ScoredRow, data_sha256, read_scored

if TYPE_CHECKING:
    from inspector_plugin.probing.training import AspectData, TrainingPlan


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser."""
    summary = "fit probe packs to scored rows"
    parser = commands.add_parser(
        "train",
        help=summary,
        description="Fit a probe for each aspect of DATA, a JSONL file of question, response, "
        "aspect, score (1-5) and id. Layers, pooling and classifier are chosen inside nested "
        "cross-validation grouped by problem. What was done before is not done again.",
    )
    parser.add_argument("data", metavar="DATA", type=Path, help="scored rows, .jsonl or .jsonl.gz")
    parser.add_argument("--dataset", required=True, help="name of the data set, such as gsm8k")
    parser.add_argument("--out", required=True, type=Path, help="folder for the packs")
    parser.add_argument("--model", default="smollm2-135m-instruct", help="language model")
    parser.add_argument(
        "--labels", action="append", choices=("multiclass", "binary"), help="default: both"
    )
    parser.add_argument("--aspects", help="comma-separated; default: those in DATA")
    parser.add_argument(
        "--layout",
        default="bare",
        help="bare (question and response, one pass for all aspects; the default), suffix (the "
        "same, then a line for each aspect), or published (a prompt for each aspect)",
    )
    parser.add_argument(
        "--poolings", default="mean,last,concat", help="comma-separated; poolings to screen"
    )
    parser.add_argument("--members", type=flags.positive, default=5, help="members of a probe")
    parser.add_argument(
        "--highest-layer",
        type=int,
        metavar="N",
        help="look at no layer above (default: two thirds up)",
    )
    parser.add_argument(
        "--layer-step", type=flags.positive, default=3, help="screen every so many layers"
    )
    parser.add_argument("--folds", type=_folds, default=5, help="folds of the cross-validation")
    flags.add_seed_flag(parser)
    parser.add_argument("--jobs", type=int, default=-1, help="processes; default: one per core")
    parser.add_argument("--device")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"))
    flags.add_batch_flag(parser)
    parser.add_argument("--transfer-to", metavar="DATASET", help="serve this data set as well")
    parser.add_argument("--overwrite", action="store_true", help="replace packs of another run")
    parser.set_defaults(run_command=_train)


def _train(options: argparse.Namespace) -> int:
    rows = read_scored(options.data)
    aspects = _aspects(options.aspects, rows)
    # Torch and scikit-learn take seconds to import; a mistake in DATA shows before that.
    from inspector_plugin.lm.loading import load_language_model
    from inspector_plugin.probing.features import FeatureStore
    from inspector_plugin.probing.folders import pack_folder
    from inspector_plugin.probing.packs import read_card, write_transfer
    from inspector_plugin.probing.training import card_head, extract_features

    language_model = load_language_model(options.model, options.device, options.dtype)
    store = FeatureStore()
    any_plan = _plan(options, "multiclass")
    data = [
        extract_features(rows, aspect, language_model, any_plan, store, options.batch_size)
        for aspect in aspects
    ]
    for labels in options.labels or ("multiclass", "binary"):
        plan = _plan(options, labels)
        folder = pack_folder(options.out, language_model.name, options.dataset, labels)
        _fit(folder, card_head(language_model, plan, data_sha256(rows)), data, plan, options)
        if options.transfer_to:
            target = pack_folder(options.out, language_model.name, options.transfer_to, labels)
            write_transfer(target, options.transfer_to, folder)
        print_tables(pack_table(read_card(folder), str(folder)))
    return 0


def _plan(options: argparse.Namespace, labels: str) -> TrainingPlan:
    from inspector_plugin.probing.training import TrainingPlan

    return TrainingPlan(
        dataset=options.dataset,
        labels=labels,
        layout=options.layout,
        folds=options.folds,
        members=options.members,
        highest_layer=options.highest_layer,
        layer_step=options.layer_step,
        poolings=tuple(options.poolings.split(",")),
        seed=options.seed,
    )


def _fit(
    folder: Path,
    head: dict[str, Any],
    data: Sequence[AspectData],
    plan: TrainingPlan,
    options: argparse.Namespace,
) -> None:
    """Train what the folder does not hold yet, writing each probe as soon as it is done."""
    from inspector_plugin.probing.packs import finished_aspects, write_probe
    from inspector_plugin.probing.training import train_probes

    if options.overwrite and folder.exists():
        shutil.rmtree(folder)
    done = finished_aspects(folder, head)
    missing = [aspect for aspect in data if aspect.aspect not in done]
    progress = tqdm(
        train_probes(missing, plan, options.jobs),
        total=len(missing),
        desc=f"Training ({plan.dataset}, {plan.labels})",
        unit="probe",
        disable=not sys.stderr.isatty(),
    )
    for probe in progress:
        write_probe(folder, head, probe)


def _folds(text: str) -> int:
    folds = int(text)
    if folds < 2:
        raise argparse.ArgumentTypeError(f"must be at least 2, not {folds}")
    return folds


def _aspects(text: str | None, rows: Sequence[ScoredRow]) -> tuple[str, ...]:
    present = {row.aspect for row in rows}
    if not present:
        raise DataError("There are no scored rows to train on.")
    if text is None:
        return tuple(key for key in ASPECT_KEYS if key in present)
    wanted = parse_aspects(text)
    for key in wanted:
        if key not in present:
            raise DataError(f"There are no rows of aspect {key!r}; there are: {sorted(present)}.")
    return wanted
