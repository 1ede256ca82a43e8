"""`inspector tune`: fine-tune an encoder or a language model into a judge, on scored rows."""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from inspector_plugin.cli import flags
from inspector_plugin.data.files import locked
from inspector_plugin.data.scored_rows import ScoredRow, read_scored
from inspector_plugin.errors import DataError, OptionError, PackError
from inspector_plugin.judges.packs import CARD
from inspector_plugin.judges.tuned.plan import KINDS, TuningPlan
from inspector_plugin.report.packs import pack_table, surface_verdicts
from inspector_plugin.report.tables import WIDTH, plain, print_tables
from inspector_plugin.schema.criteria import Criterion
from inspector_plugin.schema.criteria_files import parse_criteria
from inspector_plugin.schema.roscoe import ROSCOE


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
    from inspector_plugin.judges.tuned.packs import write_pack
    from inspector_plugin.judges.tuned.tuning_run import TuningRun
    from inspector_plugin.report.tuned_figures import criteria_entries

    with locked(options.out):
        if options.overwrite and options.out.exists():
            shutil.rmtree(options.out)
        run = TuningRun(plan, options.base, options.device, options.dtype, rows, keys)
        if not _is_finished(options.out, run.name):
            found = cross_validate(options.out, run)
            card = {
                **run.head(),
                **found.about_base,
                "models": [dict(model) for model in found.models],
                "criteria": criteria_entries(plan, run.examples, found.probabilities),
            }
            write_pack(options.out, card)
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


def _print(folder: Path) -> None:
    """Print the figures of a pack."""
    from inspector_plugin.judges.tuned.card_format import read_card

    card = read_card(folder)
    print_tables(pack_table(card, str(folder)))
    for line in surface_verdicts(card):
        print(textwrap.fill(plain(line), WIDTH, subsequent_indent="  "))
