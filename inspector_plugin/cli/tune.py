"""`inspector tune`: fine-tune an encoder or a language model into a judge, on scored rows."""

from __future__ import annotations

import argparse
import importlib.metadata
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inspector_plugin import __version__
from inspector_plugin.cli import flags
from inspector_plugin.data.files import locked
from inspector_plugin.data.scored_rows import ScoredRow, data_sha256, read_scored
from inspector_plugin.errors import DataError, OptionError, PackError
from inspector_plugin.judges.packs import CARD, sha256_of
from inspector_plugin.judges.tuned.plan import JUDGE, KINDS, LORA, TuningPlan
from inspector_plugin.report.packs import pack_table, surface_verdicts
from inspector_plugin.report.tables import WIDTH, plain, print_tables
from inspector_plugin.schema.criteria import Criterion
from inspector_plugin.schema.criteria_files import parse_criteria
from inspector_plugin.schema.roscoe import ROSCOE

if TYPE_CHECKING:
    from inspector_plugin.judges.tuned.cross_validation import CrossValidated
    from inspector_plugin.judges.tuned.examples import Examples
    from inspector_plugin.judges.tuned.model import Text
    from inspector_plugin.judges.tuned.training import Tuner

_LIBRARIES = ("torch", "transformers", "tokenizers")


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the command's parser."""
    parser = commands.add_parser(
        "tune",
        help="fine-tune an encoder or a language model on scored rows",
        description="Fine-tune a model on SCORED, a judgement file or rows of question, response, "
        "criterion and score, and measure it in folds of problems beside surface baselines; judge "
        "with it by tuned:path=PACK. The folds are those of inspector crossfit. A run that was "
        "interrupted resumes at the fold where it was. A criterion that cannot be learnt is "
        "skipped, with the reason.",
    )
    parser.add_argument("scored", metavar="SCORED", type=Path, help="scored rows, .jsonl[.gz]")
    parser.add_argument(
        "--kind",
        choices=KINDS,
        required=True,
        help="encoder: all weights of an encoder such as BERT; lora: a LoRA adapter of a causal "
        "language model",
    )
    parser.add_argument(
        "--base", required=True, metavar="MODEL", help="hub id, folder or installed name"
    )
    parser.add_argument("--out", required=True, metavar="PACK", type=Path, help="folder to write")
    flags.add_criteria_flag(
        parser, "the criteria that SCORED is scored on: roscoe, some of its keys, or criteria files"
    )
    flags.add_scored_by_flag(parser)
    flags.add_options(parser, TuningPlan)
    flags.add_judge_option(parser, "device", "dtype")
    parser.add_argument("--overwrite", action="store_true", help="replace a pack of another run")
    parser.set_defaults(run_command=_tune)


def _tune(options: argparse.Namespace) -> int:
    plan = TuningPlan(options.kind, **flags.chosen_options(options, TuningPlan))
    criteria = None if options.criteria is None else parse_criteria(options.criteria)
    rows = read_scored(options.scored, criteria, options.scored_by)
    _require_folder(options)
    keys = _tunable(rows, criteria or ROSCOE, plan, options.scored)
    # Torch takes seconds to import; a mistake in SCORED shows before that.
    from inspector_plugin.judges.tuned.cross_validation import cross_validate, remove_folds
    from inspector_plugin.judges.tuned.examples import examples_of
    from inspector_plugin.judges.tuned.packs import describe_base, write_pack
    from inspector_plugin.judges.tuned.training import Tuner

    with locked(options.out):
        if options.overwrite and options.out.exists():
            shutil.rmtree(options.out)
        tuner = Tuner(plan, options.base, options.device, options.dtype)
        head = {
            "judge": JUDGE,
            "kind": plan.kind,
            "base": describe_base(tuner.base),
            "target": plan.target,
            "labels": plan.labels,
            "max_tokens": tuner.max_tokens,
            "dataset": plan.dataset,
            "training": _training(plan, tuner, rows),
        }
        run = sha256_of({**head, "criteria": keys})
        if not _is_finished(options.out, run):
            examples = examples_of(rows, plan, keys)
            texts = tuner.encode(examples)
            found = cross_validate(options.out, tuner, examples, texts, run)
            write_pack(options.out, {**head, "run": run, **_contents(plan, examples, texts, found)})
            remove_folds(options.out)
    _print(options.out)
    return 0


def _require_folder(options: argparse.Namespace) -> None:
    """Refuse a folder that holds something else than such a pack."""
    out: Path = options.out
    if out.exists() and not out.is_dir():
        raise OptionError(f"--out {out}: it is not a folder.")
    known = {CARD, "models", "folds"}
    others = [path.name for path in out.iterdir() if path.name not in known] if out.exists() else []
    if others:
        raise OptionError(
            f"--out {out}: it holds {others[0]!r}, which is no part of a pack; give a new folder."
        )


def _tunable(
    rows: Sequence[ScoredRow], criteria: Sequence[Criterion], plan: TuningPlan, path: Path
) -> list[str]:
    """The criteria that can be learnt; says why others cannot."""
    from inspector_plugin.judges.tuned.examples import why_not_tunable

    present = [each for each in criteria if any(row.criterion == each for row in rows)]
    if not present:
        names = ", ".join(criterion.key for criterion in criteria)
        raise DataError(f"{path} holds no scores to learn from ({names}).")
    keys = []
    for criterion in present:
        reason = why_not_tunable(rows, criterion, plan)
        if reason is None:
            keys.append(criterion.key)
        else:
            note = f"inspector tune: skipped {criterion.key} ({plan.target}): {reason}"
            print(plain(note), file=sys.stderr)
    if not keys:
        raise DataError(f"{path}: no criterion can be learnt; the reasons are above.")
    return keys


def _is_finished(folder: Path, run: str) -> bool:
    """Whether the folder holds the pack of this very run.

    Raises:
        PackError: If it holds that of another one.
    """
    from inspector_plugin.judges.tuned.packs import read_pack

    if not (folder / CARD).exists():
        return False
    if read_pack(folder).card.get("run") != run:
        raise PackError(
            f"{folder} holds the pack of another run; use --overwrite, or another --out."
        )
    return True


def _training(plan: TuningPlan, tuner: Tuner, rows: Sequence[ScoredRow]) -> dict[str, Any]:
    """What the card says of the training run."""
    libraries = (*_LIBRARIES, "peft") if plan.kind == LORA else _LIBRARIES
    return {
        **plan.to_json(),
        "dtype": tuner.dtype,
        "data_sha256": data_sha256(rows),
        "versions": {
            "inspector_plugin": __version__,
            **{name: importlib.metadata.version(name) for name in libraries},
        },
    }


def _contents(
    plan: TuningPlan, examples: Examples, texts: Sequence[Text], found: CrossValidated
) -> dict[str, Any]:
    """What the card says of problems, models and criteria."""
    truncated = sum(text.truncated for text in texts)
    return {
        "known_problems": sorted(set(examples.problems)),
        "truncated": {"texts": truncated, "of": len(texts)},
        "models": [dict(model) for model in found.models],
        "criteria": {
            criterion.key: _entry(plan, examples, criterion, found.probabilities)
            for criterion in examples.criteria
        },
    }


def _entry(
    plan: TuningPlan, examples: Examples, criterion: Criterion, probabilities: Mapping[str, Any]
) -> dict[str, Any]:
    """What the card says of a criterion: its figures, beside baselines in the same folds."""
    import numpy as np
    from sklearn.metrics import confusion_matrix

    from inspector_plugin.judges.inspector.calibration import calibration
    from inspector_plugin.judges.inspector.figures import all_figures, label_indices

    own = examples.rows[criterion.key]
    rows, places = [row for row, _ in own], np.array([place for _, place in own])
    folds = examples.folds(plan.folds)[places]
    parts = [
        (np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in sorted({*folds})
    ]
    held_out, scale = probabilities[criterion.key][places], plan.scale_of(criterion)
    labels = label_indices(rows, scale)
    matrix = confusion_matrix(labels, held_out.argmax(axis=1), labels=range(len(scale.labels)))
    return {
        "criterion": criterion.to_json(),
        "fingerprint": criterion.fingerprint,
        "rows": len(rows),
        "problems": len({examples.problems[place] for place in places}),
        "figures": all_figures(held_out, rows, scale, parts, plan.seed),
        "calibration": calibration(held_out, labels, plan.seed),
        "confusion": matrix.tolist(),
    }


def _print(folder: Path) -> None:
    """Print the figures of a pack."""
    from inspector_plugin.judges.tuned.card_format import read_card

    card = read_card(folder)
    print_tables(pack_table(card, str(folder)))
    for line in surface_verdicts(card):
        print(textwrap.fill(plain(line), WIDTH, subsequent_indent="  "))
