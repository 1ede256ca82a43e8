"""`inspector score`: judge a JSONL file of questions and responses, without lm_eval."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from inspector_plugin import __version__
from inspector_plugin.agreement import OVERALL, agreement_by_aspect
from inspector_plugin.aspects import parse_aspects
from inspector_plugin.cache import opened_cache
from inspector_plugin.cli import flags
from inspector_plugin.errors import OptionError
from inspector_plugin.judge import Judge, JudgeSpec, unique_names
from inspector_plugin.plugins import create_judge, make_registry
from inspector_plugin.problems import problem_key
from inspector_plugin.report.summary import (
    JudgeSummary,
    agreement_table,
    flags_table,
    scores_table,
    summarise_aspects,
    unscored_table,
)
from inspector_plugin.report.table import plain, print_tables
from inspector_plugin.rows import file_sha256
from inspector_plugin.schema import DATASETS, Judgement, total_usage
from inspector_plugin.scoring import ScoreRow, read_score_rows, score_rows


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "score",
        help="judge a JSONL file of questions and responses",
        description="Judge each row of FILE and write it to OUT with its judgements added. "
        "A run that was interrupted goes on where it stopped when it is called again.",
    )
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="JSONL of question and response (or prediction)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="JSONL to write")
    parser.add_argument("--overwrite", action="store_true", help="begin OUT anew")
    parser.add_argument("--summary", type=Path, metavar="PATH", help="write the figures as JSON")
    flags.add_judge_flags(parser)
    flags.add_call_flags(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--aspects", help=flags.ASPECTS_HELP)
    which.add_argument(
        "--aspect-field", metavar="NAME", help="the field that names a row's one aspect"
    )
    which.add_argument("--rubric-field", metavar="NAME", help="the field with a row's own rubric")
    parser.add_argument(
        "--keep", choices=("layers",), help="write each layer's logits, for judges that have them"
    )
    parser.add_argument("--dataset", choices=DATASETS, help="of the rows that name none")
    flags.add_limit_flag(parser)
    flags.add_seed_flag(parser)
    parser.set_defaults(run_command=run_score)


def run_score(options: argparse.Namespace) -> int:
    """Judge the file, write the output and print the figures."""
    _check_out(options.file, options.out)
    rows = read_score_rows(
        options.file,
        aspects=parse_aspects(options.aspects),
        aspect_field=options.aspect_field,
        rubric_field=options.rubric_field,
        dataset=options.dataset,
        limit=options.limit,
    )
    specs = [JudgeSpec.parse(text) for text in options.judge]
    if options.reference is not None:
        specs.append(JudgeSpec.parse(options.reference))
    names = unique_names(specs)
    reference = names[-1] if options.reference is not None else None
    registry, defaults = make_registry(), flags.judge_defaults(options)
    flags.require_use(defaults, specs, registry)
    with ExitStack() as stack:
        judges = {
            name: stack.enter_context(create_judge(spec, defaults, registry))
            for name, spec in zip(names, specs, strict=True)
        }
        making = _making(options, judges, specs)
        cache = stack.enter_context(opened_cache(not options.no_cache))
        judged = score_rows(
            rows, judges, options.out, making, overwrite=options.overwrite, cache=cache
        )
        summaries = _summarise(rows, judges, judged, reference, options.seed)
    _print(summaries, reference)
    print(f"{len(rows)} rows written to {options.out}", file=sys.stderr)
    if options.summary is not None:
        _write_summary(options.summary, making, reference, summaries)
    return 0


def _check_out(file: Path, out: Path) -> None:
    if out.suffix == ".gz":
        raise OptionError(f"--out {out}: the output is written as plain JSONL; drop the .gz.")
    if out.exists() and file.exists() and out.samefile(file):
        raise OptionError(f"--out {out} is the input itself; write to another file.")


def _making(
    options: argparse.Namespace, judges: Mapping[str, Judge], specs: Sequence[JudgeSpec]
) -> dict[str, Any]:
    """Say what decides the content of the output's rows."""
    return {
        "inspector_plugin": __version__,
        "input_sha256": file_sha256(options.file),
        "aspects": list(parse_aspects(options.aspects)),
        "aspect_field": options.aspect_field,
        "rubric_field": options.rubric_field,
        "dataset": options.dataset,
        "judges": {
            name: {
                "spec": str(spec),
                "labels": judge.scale.name,
                "made_of": dict(judge.describe()),
            }
            for (name, judge), spec in zip(judges.items(), specs, strict=True)
        },
    }


def _summarise(
    rows: Sequence[ScoreRow],
    judges: Mapping[str, Judge],
    judged: Mapping[str, Sequence[Judgement]],
    reference: str | None,
    seed: int,
) -> list[JudgeSummary]:
    problems = [problem_key(row.request.question) for row in rows]
    return [
        JudgeSummary(
            name=name,
            labels=judge.scale.name,
            aspects=summarise_aspects(judged[name]),
            agreement=None
            if reference is None or name == reference
            else agreement_by_aspect(
                judged[name],
                judged[reference],
                problems,
                judge_scale=judge.scale,
                reference_scale=judges[reference].scale,
                seed=seed,
            ),
            usage=total_usage(judged[name]),
        )
        for name, judge in judges.items()
    ]


def _print(summaries: Sequence[JudgeSummary], reference: str | None) -> None:
    print_tables(scores_table(summaries))
    incomplete = [summary for summary in summaries if not summary.complete]
    if incomplete:
        print_tables(unscored_table(incomplete))
    flagged = [summary for summary in summaries if summary.aspects[OVERALL].flags]
    if flagged:
        print_tables(flags_table(flagged))
    for summary in summaries:
        if reference is not None and summary.agreement is not None:
            print_tables(agreement_table(summary, reference))
        if summary.usage is not None:
            print(plain(f"{summary.name}, this run: {summary.usage}"))


def _write_summary(
    path: Path, making: Mapping[str, Any], reference: str | None, summaries: Sequence[JudgeSummary]
) -> None:
    content = {
        "made_by": making,
        "reference": reference,
        "judges": {summary.name: summary.to_json() for summary in summaries},
    }
    try:
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise OptionError(f"Cannot write --summary {path}: {error}.") from error
