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
from inspector_plugin.agreement.compare import agreement_by_criterion
from inspector_plugin.cli import flags
from inspector_plugin.data.files import require_no_input, run_file
from inspector_plugin.data.jsonl import file_sha256
from inspector_plugin.data.requests import (
    RequestForm,
    RequestRow,
    problems_of_requests,
    read_requests,
)
from inspector_plugin.errors import OptionError
from inspector_plugin.judging.cache import opened_cache
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.run import cannot_judge
from inspector_plugin.judging.score_file import Judged, score_rows, score_to_file
from inspector_plugin.judging.validate import description_of
from inspector_plugin.plugins.options import JudgeSpec, unique_names
from inspector_plugin.plugins.registry import create_judge, make_registry
from inspector_plugin.report.summary import JudgeSummary, print_summaries, summarise_judge
from inspector_plugin.report.tables import plain
from inspector_plugin.schema.criteria_files import parse_criteria


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "score",
        help="judge a JSONL file of questions and responses",
        description="Judge each row of FILE and write it to OUT with its judgements added. "
        "A run that was interrupted resumes when it is called again. Without --out, the rows go to "
        "standard output and the tables to standard error.",
    )
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="JSONL of question and response (or prediction)"
    )
    parser.add_argument("--out", type=Path, metavar="OUT", help="JSONL to write")
    flags.add_overwrite_flag(parser)
    parser.add_argument("--summary", type=Path, metavar="PATH", help="write the figures as JSON")
    flags.add_judge_flags(parser)
    flags.add_judge_option(parser, "concurrency", "max_cost", "keep")
    flags.add_cache_flag(parser)
    add_form_flags(parser)
    flags.add_limit_flag(parser)
    flags.add_seed_flag(parser)
    parser.set_defaults(run_command=run_score)


def add_form_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say how rows become requests."""
    flags.add_criteria_flag(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--criterion-field", metavar="NAME", help="the field that names a row's one criterion"
    )
    which.add_argument("--aspect-field", dest="criterion_field", help=argparse.SUPPRESS)
    which.add_argument("--rubric-field", metavar="NAME", help="the field with a row's own rubric")
    flags.add_dataset_flag(parser)


def read_form(options: argparse.Namespace) -> RequestForm:
    """Read the flags that say how rows become requests.

    Raises:
        OptionError: If the criteria cannot be used.
    """
    if options.rubric_field is not None and options.criteria is not None:
        raise OptionError("--criteria goes with no --rubric-field: a rubric takes their place.")
    return RequestForm(
        criteria=parse_criteria(options.criteria),
        criterion_field=options.criterion_field,
        rubric_field=options.rubric_field,
        dataset=options.dataset,
    )


def run_score(options: argparse.Namespace) -> int:
    """Judge the file, write the output and print the figures.

    Returns:
        1 if a judge gave no score at all.
    """
    specs = [JudgeSpec.parse(text) for text in options.judge]
    if options.reference is not None:
        specs.append(JudgeSpec.parse(options.reference))
    flags.check_output(options.out, options.file, specs=specs, criteria=options.criteria)
    if options.summary is not None:
        outputs = [] if options.out is None else [options.out, run_file(options.out)]
        inputs = [options.file, *outputs, *flags.named_files(specs, options.criteria)]
        require_no_input(options.summary, "--summary", inputs)
    form = read_form(options)
    rows = read_requests(options.file, form, options.limit)
    names = unique_names(specs)
    reference = names[-1] if options.reference is not None else None
    registry, defaults = make_registry(), flags.judge_defaults(options)
    flags.require_use(defaults, specs, registry)
    with ExitStack() as stack:
        judges = {
            name: stack.enter_context(create_judge(spec, defaults, registry))
            for name, spec in zip(names, specs, strict=True)
        }
        warn_of_unscored(judges, rows)
        made_by = describe_run(options, form, judges, specs)
        cache = stack.enter_context(opened_cache(not options.no_cache))
        if options.out is None:
            judged = score_rows(rows, judges, sys.stdout.writelines, cache=cache)
        else:
            judged = score_to_file(
                rows, judges, options.out, made_by, overwrite=options.overwrite, cache=cache
            )
    summaries = _summarise(rows, judged, reference, options.seed)
    print_summaries(summaries, reference, file=sys.stderr if options.out is None else sys.stdout)
    if options.out is not None:
        print(f"{len(rows)} rows written to {options.out}", file=sys.stderr)
    if options.summary is not None:
        _write_summary(options.summary, made_by, reference, summaries)
    return _status(summaries)


def warn_of_unscored(judges: Mapping[str, Judge], rows: Sequence[RequestRow]) -> None:
    """Say before judging what a judge will leave unscored, and refuse one that can judge nothing.

    Raises:
        OptionError: If a judge can judge none of the rows on any criterion.
    """
    requests = [row.request for row in rows]
    asked = sum(len(request.criteria) for request in requests)
    for name, judge in judges.items():
        reasons = cannot_judge(judge, requests)
        if asked and reasons.total() == asked:
            raise OptionError(f"Judge {name!r} can judge none of the rows: {'; '.join(reasons)}.")
        for reason, count in reasons.items():
            print(
                plain(f"inspector: {name}: {count} of {asked} scores will be missing: {reason}"),
                file=sys.stderr,
            )


def describe_run(
    options: argparse.Namespace,
    form: RequestForm,
    judges: Mapping[str, Judge],
    specs: Sequence[JudgeSpec],
) -> dict[str, Any]:
    """Say what decides the content of the output's rows."""
    return {
        "inspector_plugin": __version__,
        "input_sha256": file_sha256(options.file),
        "criteria": None
        if form.rubric_field
        else [criterion.to_json() for criterion in form.criteria],
        "criterion_field": form.criterion_field,
        "rubric_field": form.rubric_field,
        "dataset": form.dataset,
        "judges": {
            name: {"spec": str(spec), "made_of": description_of(judge, name)}
            for (name, judge), spec in zip(judges.items(), specs, strict=True)
        },
    }


def _summarise(
    rows: Sequence[RequestRow], judged: Judged, reference: str | None, seed: int
) -> list[JudgeSummary]:
    problems = problems_of_requests([row.request for row in rows])
    return [
        summarise_judge(
            name,
            judgements,
            None
            if reference is None or name == reference
            else agreement_by_criterion(judgements, judged[reference], problems, seed=seed),
        )
        for name, judgements in judged.items()
    ]


def _status(summaries: Sequence[JudgeSummary]) -> int:
    """Return 1, and say so, if a judge gave no score at all."""
    empty = [summary.name for summary in summaries if not summary.overall.scored]
    for name in empty:
        print(
            plain(f"inspector score: judge {name!r} gave no score at all; the reasons are above"),
            file=sys.stderr,
        )
    return 1 if empty else 0


def _write_summary(
    path: Path, made_by: Mapping[str, Any], reference: str | None, summaries: Sequence[JudgeSummary]
) -> None:
    content = {
        "made_by": made_by,
        "reference": reference,
        "judges": {
            summary.name: {**summary.to_json(), "agreement": summary.agreement_to_json()}
            if summary.agreement is not None
            else summary.to_json()
            for summary in summaries
        },
    }
    try:
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise OptionError(f"Cannot write --summary {path}: {error}.") from error
