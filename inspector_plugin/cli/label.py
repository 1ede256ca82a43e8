"""`inspector label`: reference scores by a judge, for training, tuning and comparing."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from inspector_plugin.aspects import parse_aspects
from inspector_plugin.cache import opened_cache
from inspector_plugin.cli import flags
from inspector_plugin.errors import OptionError
from inspector_plugin.judge import JudgeSpec
from inspector_plugin.labelling import Labels, label_rows, unscored_path
from inspector_plugin.plugins import create_judge, make_registry
from inspector_plugin.report.table import make_table, plain, print_tables
from inspector_plugin.schema import DATASETS, MULTICLASS
from inspector_plugin.scoring import read_score_rows


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "label",
        help="make reference scores with a judge",
        description="Score each response of FILE on each aspect and write one line for each score "
        "to OUT, as inspector train and the judge recorded read them. A run that was interrupted "
        "goes on where it stopped when it is called again.",
    )
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="JSONL of question and response (or prediction)"
    )
    parser.add_argument("--judge", required=True, metavar="SPEC", help=flags.SPEC_HELP)
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="JSONL to write")
    parser.add_argument("--overwrite", action="store_true", help="begin OUT anew")
    parser.add_argument("--aspects", help=flags.ASPECTS_HELP)
    parser.add_argument("--dataset", choices=DATASETS, help="of the rows that name none")
    parser.add_argument(
        "--dry-run", action="store_true", help="estimate tokens and cost, make no call"
    )
    flags.add_call_flags(parser)
    flags.add_limit_flag(parser)
    parser.set_defaults(run_command=run_label)


def run_label(options: argparse.Namespace) -> int:
    """Label the file; return 1 if scores are missing that a second run may get."""
    rows = read_score_rows(
        options.file,
        aspects=parse_aspects(options.aspects),
        dataset=options.dataset,
        limit=options.limit,
    )
    if options.out.exists() and options.out.samefile(options.file):
        raise OptionError(f"--out {options.out} is the input itself; write to another file.")
    spec, registry = JudgeSpec.parse(options.judge), make_registry()
    backend = registry.get(spec.name).backend
    if options.dry_run and "dry_run" not in {option.name for option in backend.options}:
        raise OptionError(f"--dry-run: judge {spec.name!r} makes no calls that cost money.")
    defaults = flags.judge_defaults(options)
    with (
        create_judge(spec, defaults, registry) as judge,
        opened_cache(not options.no_cache) as cache,
    ):
        labels = label_rows(
            rows,
            judge,
            spec.name,
            options.out,
            overwrite=options.overwrite,
            cache=cache,
            dry_run=options.dry_run,
        )
    if options.dry_run:
        print(f"estimate, without the provider's prefix cache: {labels.usage}")
        return 0
    _print(labels, options.out)
    return 1 if labels.passing else 0


def _print(labels: Labels, out: Path) -> None:
    aspects = dict.fromkeys(aspect for aspect, _ in labels.scored)
    rows = [
        (aspect, *(str(labels.scored[aspect, label]) for label in MULTICLASS.labels))
        for aspect in aspects
    ]
    columns = ("aspect", *(str(label) for label in MULTICLASS.labels))
    print_tables(make_table("Scores written", columns, rows))
    if labels.usage is not None:
        print(f"this run: {labels.usage}")
    for reason, count in labels.unscored.most_common():
        print(plain(f"unscored: {count} ({reason})"), file=sys.stderr)
    if labels.unscored:
        print(f"these are in {unscored_path(out)}; run again to retry them", file=sys.stderr)
    print(
        f"{labels.scored.total()} scores written to {out}, {labels.already} were there already",
        file=sys.stderr,
    )
