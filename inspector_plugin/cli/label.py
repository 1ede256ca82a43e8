"""`inspector label`: reference scores by a judge, for training, tuning and comparing."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from inspector_plugin.cli import flags
from inspector_plugin.cli.row_flags import add_form_flags, read_form
from inspector_plugin.cli.score import describe_run, warn_of_unscored
from inspector_plugin.data.inputs import InputRows
from inspector_plugin.data.requests import RequestRow
from inspector_plugin.errors import count_of
from inspector_plugin.judging.cache import opened_cache
from inspector_plugin.judging.run import judge_all
from inspector_plugin.judging.score_file import score_to_file
from inspector_plugin.plugins.options import JudgeSpec
from inspector_plugin.plugins.registry import create_judge, make_registry
from inspector_plugin.report.judge_figures import summarise_judge
from inspector_plugin.report.labels import label_table
from inspector_plugin.report.summary import cost_of_run, unscored_table
from inspector_plugin.report.tables import print_tables
from inspector_plugin.schema.records import Judgement, total_usage


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "label",
        description="Score each response of FILE and write it to OUT with the judgement added, as "
        "inspector train and the judge recorded read it. A run that was interrupted resumes when "
        "it is called again, and asks again for scores that are missing for a transient reason.",
    )
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="JSONL of question and response (or prediction)"
    )
    parser.add_argument("--judge", required=True, metavar="SPEC", help=flags.SPEC_HELP)
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="JSONL to write")
    flags.add_overwrite_flag(parser)
    add_form_flags(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="estimate tokens and cost, make no call"
    )
    flags.add_judge_option(parser, "concurrency", "max_cost")
    flags.add_cache_flag(parser)
    flags.add_limit_flag(parser)
    parser.set_defaults(run_command=run_label)


def run_label(options: argparse.Namespace) -> int:
    """Label the file.

    Returns:
        1 if scores are missing that a second run may get, or all are missing.
    """
    spec, registry = JudgeSpec.parse(options.judge), make_registry()
    flags.check_output(options.out, options.file, specs=[spec], criteria=options.criteria)
    form = read_form(options)
    rows = InputRows([options.file], form, options.limit)
    defaults = flags.defaults_of_priced(options, spec, registry)
    with (
        create_judge(spec, defaults, registry) as judge,
        opened_cache(not options.no_cache) as cache,
    ):
        judges = {spec.name: judge}
        warn_of_unscored(judges, rows)
        if options.dry_run:
            estimated = judge_all(judge, [row.request for row in rows], name=spec.name, cache=cache)
            usage = total_usage(estimated)
            print(f"estimate, without the provider's prefix cache: {usage}")
            return 0
        judged: list[Judgement] = []

        def keep(row: RequestRow, judgements: Mapping[str, Judgement]) -> None:
            judged.append(judgements[spec.name])

        score_to_file(
            rows,
            judges,
            options.out,
            describe_run(rows, form, judges, [spec]),
            overwrite=options.overwrite,
            on_row=keep,
            cache=cache,
        )
    return _print(spec.name, judged, options.out)


def _print(name: str, judged: Sequence[Judgement], out: Path) -> int:
    _print_labels(judged)
    summary = summarise_judge(name, judged)
    if summary.overall.unscored:
        print_tables(unscored_table(summary))
    if summary.usage is not None:
        print(cost_of_run(name, summary.usage))
    transient = sum(score.transient for each in judged for score in each.scores.values())
    if transient:
        print(f"run again to retry {transient} of the missing scores", file=sys.stderr)
    print(f"{count_of(len(judged), 'row')} written to {out}", file=sys.stderr)
    return 1 if transient or not summary.overall.scored else 0


def _print_labels(judged: Sequence[Judgement]) -> None:
    """Print how often each label was given, a table for each scale."""
    scores = [pair for each in judged for pair in each.scores.items()]
    scales = {key: score.scale for key, score in scores}
    scales |= {key: score.scale for key, score in scores if score.label is not None}
    counts = Counter((key, score.label) for key, score in scores)
    for scale in dict.fromkeys(scale for scale in scales.values() if scale is not None):
        given = {
            key: {label: counts[key, label] for label in scale.labels}
            for key, of_key in scales.items()
            if of_key == scale
        }
        print_tables(label_table("Labels given", scale, given))
