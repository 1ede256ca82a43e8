"""`inspector rubric lint`: what is wrong with a rubric, and what to do about it."""

from __future__ import annotations

import argparse
import sys
import textwrap
from pathlib import Path

from inspector_plugin.cli import flags
from inspector_plugin.errors import count_of
from inspector_plugin.report.tables import WIDTH, plain
from inspector_plugin.rubrics.lint import ERROR, FEWEST_VERDICTS, Finding, lint
from inspector_plugin.rubrics.lint_data import LintData, read_lint_data
from inspector_plugin.schema.rubric_files import RubricFile, read_rubric_file


def add_action(actions: flags.Commands[flags.Parser]) -> None:
    """Add the action to the parser of `inspector rubric`."""
    parser = actions.add_parser(
        "lint",
        help="find faults of a rubric",
        description="Name the items of a rubric that state nothing, that are vague, "
        "double-barrelled, overlapping, weightless or unverifiable, or that leak the answer; with "
        "--data also those that are copied from it or always true or false of its responses, and "
        "problems without items. The exit status is 1 if there are errors.",
    )
    parser.add_argument("rubric", metavar="R", type=Path, help="a rubric file")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DATA",
        help="problems (JSONL), or a file judged by the rubric: its verdicts are looked at as well",
    )
    parser.add_argument("--strict", action="store_true", help="count warnings as errors")
    parser.set_defaults(run_command=_lint)


def _lint(options: argparse.Namespace) -> int:
    file = read_rubric_file(options.rubric)
    data = None if options.data is None else read_lint_data(options.data, file.criterion)
    findings = lint(file.criterion, data)
    for finding in findings:
        _print(finding)
    errors = sum(finding.severity == ERROR for finding in findings)
    count = 0 if data is None else _verdicts(file, data)
    verdicts = f"verdicts on {count_of(count, 'response')}"
    looked_at = f", {verdicts}" if count else ""
    found = f"{count_of(errors, 'error')}, {count_of(len(findings) - errors, 'warning')}"
    print(f"{_size(file)}{looked_at}: {found}")
    if data is not None and file.criterion.items and count < FEWEST_VERDICTS:
        has = f"{verdicts} only" if count else "no verdicts on this rubric"
        text = f"{options.data} holds {has}, so what is always true or false was not looked for"
        print(plain(f"inspector rubric: {text} ({FEWEST_VERDICTS} are needed)"), file=sys.stderr)
    return int(errors > 0 or (options.strict and bool(findings)))


def _print(finding: Finding) -> None:
    text = (
        f"{finding.severity}: {finding.item}: {finding.rule}: {finding.problem}; {finding.remedy}."
    )
    print(textwrap.fill(plain(text), WIDTH, subsequent_indent="  "))


def _size(file: RubricFile) -> str:
    criterion = file.criterion
    size = count_of(len(criterion.items), "item") if criterion.items else ""
    if criterion.instances:
        own = sum(len(instance.items) for instance in criterion.instances)
        of = f"{count_of(own, 'item')} for {count_of(len(criterion.instances), 'problem')}"
        size += f"{', ' if size else ''}{of}"
    return size


def _verdicts(file: RubricFile, data: LintData) -> int:
    """On how many responses there are verdicts."""
    return max((len(data.verdicts(file.criterion, i)) for i in file.criterion.items), default=0)
