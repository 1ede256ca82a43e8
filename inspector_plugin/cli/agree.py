"""`inspector agree`: how far judges and people agree, and what that allows to conclude."""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from inspector_plugin.agreement.alt_test import EPSILON
from inspector_plugin.agreement.annotators import alpha_by_criterion
from inspector_plugin.agreement.joined import join
from inspector_plugin.agreement.selection import ANNOTATORS, Selection
from inspector_plugin.agreement.statistics import PairCounts
from inspector_plugin.cli import flags
from inspector_plugin.cli.comparisons import (
    add_comparison_flags,
    judge_agreements,
    outcome_agreements,
    read_selection,
)
from inspector_plugin.data.files import require_further_output, write_whole
from inspector_plugin.data.score_table import ScoreColumn, Source
from inspector_plugin.errors import OptionError, count_of
from inspector_plugin.report.agreement import agreement_to_json, judge_sections
from inspector_plugin.report.annotators import Everyone, everyone_section
from inspector_plugin.report.document import Document, Section
from inspector_plugin.report.outcome import outcome_section
from inspector_plugin.report.printing import OUTPUT_FORMATS, print_document

# A matrix of more pairs than these is too wide.
_MOST_NAMES = 9


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "agree",
        description="Compare scores: judges with a reference, annotators among themselves, scores "
        "with an outcome such as exact_match. Figures have 95% intervals by bootstrap over "
        "problems, and stand beside those of chance, of a constant judge and of a judge that "
        "knows the length alone. With three annotators or more it says whether the judge may "
        "replace them.",
    )
    add_comparison_flags(parser)
    parser.add_argument(
        "--epsilon",
        type=flags.below_one,
        default=EPSILON,
        metavar="E",
        help="what the judge is allowed for its lower cost when it is to replace annotators: 0.2 "
        f"for experts, 0.15 skilled, 0.1 crowd workers (default: {EPSILON})",
    )
    parser.add_argument(
        "--each",
        action="store_true",
        help="tables of every criterion in full, not of all together alone",
    )
    parser.add_argument("--format", choices=OUTPUT_FORMATS, default="table", help="default: table")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write to a file, not to standard output"
    )
    parser.set_defaults(run_command=run_agree)


def run_agree(options: argparse.Namespace) -> int:
    """Compare, and print the figures."""
    if options.out is not None:
        named = [*options.files, *([options.reference] if options.reference else [])]
        inputs = [Source.parse(text).path for text in named]
        require_further_output(options.out, "--out", inputs)
    selection = read_selection(options)
    whole = options.each or options.format != "table"
    sections: list[Section] = []
    content = []
    for found in judge_agreements(selection, options):
        sections += judge_sections(found, each=whole)
        content.append(agreement_to_json(found))
    groups = _groups(selection, options)
    sections += [everyone_section(group) for group in groups]
    # The outcome is nobody's opinion: a reference that was only assumed is held against it as well.
    everyone = selection.judges if options.judge else selection.everyone
    outcomes = outcome_agreements(selection, options, everyone)
    if outcomes:
        sections.append(outcome_section(options.outcome, outcomes))
    notes = _notes(selection)
    if notes:
        sections.append(Section("notes", "Notes", "\n".join(notes)))
    document = Document("Agreement", [("files", ", ".join(map(str, options.files)))], sections)
    values = {
        "agreement": content,
        "alpha": [{"of": group.names, "criteria": group.alphas} for group in groups],
        "outcomes": outcomes,
        "confidence": 0.95,
        "seed": options.seed,
        "resamples": options.resamples,
    }
    if options.out is None:
        print_document(document, values, options.format)
        return 0
    figures = io.StringIO()
    print_document(document, values, options.format, figures)
    try:
        write_whole(options.out, figures.getvalue().encode("utf-8", "replace"))
    except OSError as error:
        raise OptionError(f"Cannot write --out {options.out}: {error}.") from error
    return 0


def _groups(selection: Selection, options: argparse.Namespace) -> list[Everyone]:
    """Who is held against each other: the annotators, and all if there are three or more."""
    groups = [("all", selection.everyone)] if len(selection.everyone) > 2 else []
    if len(selection.annotators) > 1 and set(selection.annotators) != set(selection.everyone):
        groups.insert(0, ("the annotators", selection.annotators))
    elif len(selection.annotators) == 2 and not groups:
        groups = [("the annotators", selection.annotators)]
    return [_everyone(selection, names, title, options) for title, names in groups]


def _everyone(
    selection: Selection, names: Sequence[str], title: str, options: argparse.Namespace
) -> Everyone:
    table = selection.table
    by_key: dict[str, list[ScoreColumn]] = {}
    for key in table.keys:
        if selection.keys is None or key in selection.keys:
            columns = [table.column(name, key) for name in names if key in table.keys_of(name)]
            if len(columns) > 1:
                by_key[key] = columns
    alphas = alpha_by_criterion(table, by_key, seed=options.seed, resamples=options.resamples)
    kappas: dict[tuple[str, str], float | None] = {}
    for one, other in combinations(names, 2) if len(names) <= _MOST_NAMES else ():
        sides = [
            (ours[one], ours[other])
            for ours in ({each.judge: each for each in columns} for columns in by_key.values())
            if one in ours and other in ours
        ]
        joined = join(table, sides) if sides else None
        kappas[one, other] = None
        if joined is not None and joined.pairs is not None:
            kappa = PairCounts(joined.pairs, joined.problems).statistics(["quadratic_kappa"])
            kappas[one, other] = None if np.isnan(kappa[0, 0]) else float(kappa[0, 0])
    return Everyone(names, alphas, kappas, title)


def _notes(selection: Selection) -> list[str]:
    """What to mind about the files."""
    table, notes = selection.table, []
    if selection.reference == ANNOTATORS:
        notes.append(
            f"The reference is the mean of {', '.join(selection.annotators)}, whoever of them "
            "scored a response."
        )
    if table.repeated:
        notes.append(
            f"{table.repeated} of {table.rows} rows: question and response of an earlier row; each "
            "counts."
        )
    if table.dropped:
        lines = count_of(table.dropped, "line")
        notes.append(f"{lines} left out that said the same as an earlier line.")
    return notes
