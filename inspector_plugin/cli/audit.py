"""`inspector audit`: whether a judge tells right solutions from flawed ones and from nonsense."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inspector_plugin import __version__
from inspector_plugin.audits.run import WARNING_FLAGS, Report, run_suite
from inspector_plugin.audits.suite import Suite, read_suite
from inspector_plugin.cli import flags
from inspector_plugin.errors import CriteriaError, DataError, OptionError
from inspector_plugin.judging.cache import opened_cache
from inspector_plugin.judging.judge import Judge
from inspector_plugin.plugins.options import JudgeSpec
from inspector_plugin.plugins.registry import create_judge, make_registry
from inspector_plugin.report.audits import report_tables, report_to_json
from inspector_plugin.report.tables import WIDTH, plain, print_tables
from inspector_plugin.schema.criteria import Criterion
from inspector_plugin.schema.criteria_files import built_in_criterion, parse_criteria
from inspector_plugin.schema.roscoe import ROSCOE

_CORRECTNESS = "correctness"


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "audit",
        help="test a judge on responses whose quality is known",
        description="Judge the sanity suite: problems with right solutions, flawed ones and "
        "nonsense. For each kind of response, print how often the judge scores it below the right "
        "solutions of the same problem.",
    )
    parser.add_argument("--judge", required=True, metavar="SPEC", help=flags.SPEC_HELP)
    flags.add_criteria_flag(
        parser,
        "what to judge on, comma-separated: roscoe, correctness, keys or criteria files (default: "
        "roscoe, and correctness where the judge can judge it)",
    )
    parser.add_argument(
        "--limit", type=flags.positive, metavar="N", help="only the first N problems"
    )
    parser.add_argument("--out", type=Path, metavar="PATH", help="write the figures as JSON")
    parser.add_argument(
        "--flags",
        default=",".join(WARNING_FLAGS),
        metavar="LIST",
        help="the flags of scores that count as a warning, comma-separated (default: %(default)s)",
    )
    flags.add_judge_option(
        parser, "labels", "device", "dtype", "batch_size", "concurrency", "max_cost"
    )
    flags.add_cache_flag(parser)
    parser.set_defaults(run_command=run_audit)


def run_audit(options: argparse.Namespace) -> int:
    """Judge the suite, print the tables and write the figures.

    Returns:
        1 if the judge gave no score at all.
    """
    suite = read_suite().first(options.limit)
    spec = JudgeSpec.parse(options.judge)
    registry, defaults = make_registry(), flags.judge_defaults(options)
    flags.require_use(defaults, [spec], registry)
    with create_judge(spec, defaults, registry) as judge:
        criteria = _criteria(options.criteria, judge, suite)
        made_of = dict(judge.describe())
        with opened_cache(not options.no_cache) as cache:
            report = run_suite(
                judge,
                suite,
                criteria,
                name=spec.name,
                flags=tuple(filter(None, map(str.strip, options.flags.split(",")))),
                cache=cache,
            )
    _print(spec.name, suite, report)
    if options.out is not None:
        _write(options.out, suite, report, {"spec": str(spec), "made_of": made_of})
    if report.given:
        return 0
    print("inspector audit: the judge gave no score at all", file=sys.stderr)
    return 1


def _criteria(given: str | None, judge: Judge, suite: Suite) -> list[Criterion]:
    """Choose the criteria, leaving out what the judge can judge on no problem.

    Raises:
        OptionError: If none is left.
    """
    wanted = _default_criteria() if given is None else parse_criteria(given)
    datasets = dict.fromkeys(item.dataset for item in suite.items)
    chosen = []
    for criterion in wanted:
        reasons = [judge.cannot_judge(criterion, dataset) for dataset in datasets]
        if None in reasons:
            chosen.append(criterion)
        elif given is not None:
            print(
                plain(f"inspector audit: {criterion.key} left out: {reasons[0]}"), file=sys.stderr
            )
    if not chosen:
        raise OptionError(f"The judge can judge none of: {', '.join(c.key for c in wanted)}.")
    return chosen


def _default_criteria() -> Sequence[Criterion]:
    try:
        return (*ROSCOE, built_in_criterion(_CORRECTNESS))
    except CriteriaError:  # not among those built in
        return ROSCOE


def _print(name: str, suite: Suite, report: Report) -> None:
    print_tables(*report_tables(name, suite, report))
    for lower_on, kinds in report.left_out.items():
        _say(f"left out, as {lower_on} was not judged: {', '.join(kinds)}")
    for reason, count in report.reasons.items():
        _say(f"{count} scores are missing: {reason}")


def _say(text: str) -> None:
    print(textwrap.fill(plain(text), WIDTH, subsequent_indent="  "))


def _write(path: Path, suite: Suite, report: Report, judge: Mapping[str, Any]) -> None:
    content = {"inspector_plugin": __version__, "judge": judge, **report_to_json(suite, report)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"Cannot write {path}: {error}.") from error
