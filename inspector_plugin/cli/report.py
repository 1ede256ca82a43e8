"""`inspector report`: what was judged, what it says, and how far to trust it, on one page."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from inspector_plugin.cli import flags
from inspector_plugin.cli.judged_files import (
    JudgedFiles,
    add_file_flags,
    model_name,
    read_judged_files,
)
from inspector_plugin.data.files import require_further_output, run_file, write_whole
from inspector_plugin.data.score_table import ScoreTable, Source
from inspector_plugin.data.text import plain
from inspector_plugin.errors import OptionError, count_of, one_of
from inspector_plugin.report.build import ReportOptions, build_report
from inspector_plugin.report.document import Document
from inspector_plugin.report.formats import as_csv, as_json, as_markdown

_FORMATS = ("html", "md", "csv", "json")


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "report",
        description="Write one page on files of judged responses: who judged what, the scores, the "
        "agreement with a reference, corrected figures, and the responses where judges differ "
        "most. The page loads nothing from outside.",
    )
    add_file_flags(parser)
    parser.add_argument(
        "--annotators",
        metavar="LIST",
        help="several people, comma-separated, whose mean is the reference",
    )
    parser.add_argument(
        "--out", type=Path, metavar="OUT", help="the file to write; needed for a page"
    )
    flags.add_overwrite_flag(parser)
    parser.add_argument("--format", choices=_FORMATS, default="html", help="default: html")
    parser.add_argument("--title", default="Judged responses", help="default: Judged responses")
    parser.add_argument(
        "--rows",
        type=flags.positive,
        default=500,
        metavar="N",
        help="how many responses to list, the most telling first (default: 500)",
    )
    parser.add_argument(
        "--show-gpqa",
        action="store_true",
        help="show the texts of GPQA, whose authors ask that they not appear in the open",
    )
    parser.add_argument(
        "--resamples", type=flags.resamples, default=1000, metavar="N", help="default: 1000"
    )
    flags.add_seed_flag(parser)
    parser.set_defaults(run_command=run_report)


def run_report(options: argparse.Namespace) -> int:
    """Read the files and write the report."""
    if options.format == "html" and options.out is None:
        raise OptionError("--out is missing; name the page to write, as in --out report.html.")
    sources = [_source(text) for text in options.files]
    if options.out is not None:
        _check_output(options.out, sources, options)
    files, people = _read(options, sources)
    report = build_report(
        _chosen(files),
        ReportOptions(
            title=options.title,
            reference=None if files.is_outcome or people else files.reference,
            annotators=people,
            responses=options.rows,
            show_gpqa=options.show_gpqa,
            seed=options.seed,
            resamples=options.resamples,
        ),
    )
    text = _written(report, options.format)
    if options.out is None:
        print(text, end="")
        return 0
    # An unpaired surrogate cannot be encoded; a question mark shows that something was there.
    content = text.encode("utf-8", "replace")
    write_whole(options.out, content)
    size = f"{len(content):,} bytes on {count_of(files.table.rows, 'response')}"
    print(plain(f"{options.out}: {size}"), file=sys.stderr)
    return 0


def _read(
    options: argparse.Namespace, sources: list[Source]
) -> tuple[JudgedFiles, tuple[str, ...]]:
    """Read the files, and the names of the annotators."""
    people = flags.listed(options.annotators)
    if people and options.reference:
        raise OptionError("--reference and --annotators: give one of them.")
    # A page may hold scores against a reference and against an outcome.
    both = options.reference and options.outcome
    outcomes = [options.outcome] if both else []
    given = argparse.Namespace(**{**vars(options), "outcome": None if both else options.outcome})
    files = read_judged_files(given, outcomes, sources)
    if both:
        files.table.outcome(options.outcome)  # says what is wrong with it, if anything is
    for name in people:
        if name not in files.table.judges:
            raise OptionError(f"--annotators: {one_of(name, files.table.judges, 'judge')}")
    if len(people) == 1:
        raise OptionError(f"--annotators {people[0]}: one is not several; it is --reference then.")
    return files, tuple(dict.fromkeys(people))


def _source(text: str) -> Source:
    """Read [MODEL=]FILE. A log of lm_eval is of the model that its folder is named after."""
    given = Source.parse(text)
    is_log = given.path.is_dir() or given.path.name.startswith("samples_")
    model = given.name or (model_name(given.path) if is_log else None)
    return Source(given.path, None, model, given.name is not None)


def _chosen(files: JudgedFiles) -> ScoreTable:
    """The table, with the judges and criteria asked for only."""
    judges = {*files.judges, *([files.reference] if files.reference is not None else [])}

    def wanted(name: object) -> bool:
        if not isinstance(name, tuple):
            return True
        judge, key = name
        return judge in judges and (files.keys is None or key in files.keys)

    table = files.table
    return replace(
        table,
        columns={name: column for name, column in table.columns.items() if wanted(name)},
        refused={name: reason for name, reason in table.refused.items() if wanted(name)},
        judge_sources={
            judge: places for judge, places in table.judge_sources.items() if judge in judges
        },
    )


def _written(report: Document, format_: str) -> str:
    if format_ == "html":
        from inspector_plugin.report.html import as_html

        return as_html(report)
    return {"md": as_markdown, "csv": as_csv, "json": as_json}[format_](report)


def _check_output(out: Path, sources: list[Source], options: argparse.Namespace) -> None:
    read = [source.path for source in sources]
    read += [Source.parse(text).path for text in options.reference or []]
    read += [log for path in read if path.is_dir() for log in path.rglob("samples_*.jsonl")]
    require_further_output(out, "--out", [*read, *map(run_file, read)])
    if out.exists() and not options.overwrite:
        raise OptionError(f"{out} is there already; pass --overwrite, or another --out.")
    if not out.parent.is_dir():
        raise OptionError(f"--out {out}: the folder {out.parent} does not exist; make it first.")
