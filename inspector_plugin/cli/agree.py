"""`inspector agree`: how far judges and people agree, and what that allows to conclude."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from inspector_plugin.agreement.alt_test import (
    EPSILON,
    AltTest,
    alternative_annotator_tests,
)
from inspector_plugin.agreement.annotators import Stratum, alpha_by_criterion, by_agreement
from inspector_plugin.agreement.comparison import compare_columns
from inspector_plugin.agreement.joined import join
from inspector_plugin.agreement.outcome import OutcomeAgreement, compare_with_outcome
from inspector_plugin.agreement.selection import ANNOTATORS, Selection, select
from inspector_plugin.agreement.statistics import PairCounts
from inspector_plugin.cli import flags
from inspector_plugin.cli.judged_files import chosen_criteria
from inspector_plugin.data.files import require_no_input
from inspector_plugin.data.score_table import ScoreColumn, Source, read_score_table
from inspector_plugin.errors import OptionError
from inspector_plugin.progress import Progress
from inspector_plugin.report.agreement import (
    Everyone,
    JudgeAgreement,
    agreement_to_json,
    everyone_section,
    judge_sections,
    outcome_section,
)
from inspector_plugin.report.document import Document, Section
from inspector_plugin.report.printing import OUTPUT_FORMATS, print_document

RESAMPLES = 1000
_TOTAL = "total"
# A matrix of more pairs than these is too wide.
_MOST_NAMES = 9
# Rows times resamples that take so long that progress is shown.
_MANY = 10_000_000


def add_command(commands: flags.Commands[flags.Parser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "agree",
        help="compare judges with each other, with people, or with an outcome",
        description="Compare scores: judges with a reference, annotators among themselves, scores "
        "with an outcome such as exact_match. Figures have 95% intervals by bootstrap over "
        "problems, and stand beside those of chance, of a constant judge and of a judge that "
        "knows the length alone. With three annotators or more it says whether the judge may "
        "replace them.",
    )
    add_comparison_flags(parser)
    parser.add_argument(
        "--epsilon",
        type=_allowance,
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


def add_comparison_flags(parser: argparse.ArgumentParser) -> None:
    """Add the files, and the flags that say what of them to compare."""
    parser.add_argument(
        "files",
        nargs="+",
        metavar="[NAME=]FILE",
        help="judgement files, files of people's scores, sample logs, or folders of lm_eval's "
        "results; NAME is what to call the judge of a file",
    )
    parser.add_argument(
        "--judge",
        action="append",
        metavar="NAME",
        help="a judge to compare (default: all); may be given several times",
    )
    parser.add_argument(
        "--reference",
        metavar="NAME|FILE",
        help="whom to compare with: a judge or person of the files, or a further file (default: "
        "whoever is in the last file)",
    )
    parser.add_argument(
        "--annotators",
        metavar="LIST",
        help="several people, comma-separated, whose mean is the reference (default: those in the "
        "last file if it has several)",
    )
    parser.add_argument(
        "--criteria",
        "--criterion",
        metavar="LIST",
        help="the criteria to compare on, comma-separated: keys or files (default: all)",
    )
    parser.add_argument(
        "--outcome",
        metavar="FIELD",
        help="a field of numbers or true/false to compare with, such as exact_match or is_correct",
    )
    flags.add_seed_flag(parser)
    parser.add_argument(
        "--resamples",
        type=_resamples,
        default=RESAMPLES,
        metavar="N",
        help=f"resamples of the bootstrap, 0 for no intervals (default: {RESAMPLES})",
    )


def run_agree(options: argparse.Namespace) -> int:
    """Compare, and print the figures."""
    if options.out is not None:
        named = [*options.files, *([options.reference] if options.reference else [])]
        inputs = [Source.parse(text).path for text in named]
        require_no_input(options.out, "--out", inputs)
    selection = read_selection(options)
    whole = options.each or options.format != "table"
    sections: list[Section] = []
    content = []
    for found in judge_agreements(selection, options):
        sections += judge_sections(found, each=whole)
        content.append(agreement_to_json(found))
    groups = _groups(selection, options)
    sections += [everyone_section(group) for group in groups]
    outcomes = outcome_agreements(selection, options)
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
    try:
        with options.out.open("w", encoding="utf-8") as file:
            print_document(document, values, options.format, file)
    except OSError as error:
        raise OptionError(f"Cannot write --out {options.out}: {error}.") from error
    return 0


def read_selection(options: argparse.Namespace) -> Selection:
    """Read the files, and settle what is compared with what.

    Raises:
        OptionError: If a flag cannot be used.
        DataError: If a file cannot be used, or there is nothing to compare.
    """
    sources = [Source.parse(text) for text in options.files]
    further = None if options.reference is None else Source.parse(options.reference)
    is_file = further is not None and further.path.exists()
    if further is not None and is_file:
        sources.append(further)
    criteria, keys = chosen_criteria(options.criteria)
    outcomes = [options.outcome] if options.outcome else []
    table = read_score_table(sources, criteria=criteria, outcomes=outcomes)
    people = [name.strip() for name in (options.annotators or "").split(",") if name.strip()]
    if options.outcome:
        table.outcome(options.outcome)  # says what is wrong with it, if anything is
    return select(
        table,
        judges=options.judge or (),
        reference=None if is_file else options.reference,
        annotators=people,
        keys=keys,
        needs_reference=not options.outcome,
    )


def judge_agreements(
    selection: Selection, options: argparse.Namespace, *, in_full: bool = True
) -> list[JudgeAgreement]:
    """Compare each judge with the reference.

    Args:
        selection: What is compared with what.
        options: The flags.
        in_full: Whether to add what several annotators allow to say.
    """
    if selection.reference is None:
        return []
    found = []
    settings = {"seed": options.seed, "resamples": options.resamples}
    sides_of = {judge: selection.sides(judge) for judge in selection.judges}
    count = sum(len(sides) + (len(sides) > 1) for sides in sides_of.values())
    many = selection.table.rows * options.resamples > _MANY
    progress = Progress(count, "Comparing", "comparison") if many else None
    for judge, sides in sides_of.items():
        comparisons = compare_columns(
            selection.table,
            sides,
            **settings,
            on_compared=None if progress is None else progress.advance,
        )
        strata: Sequence[Stratum] = ()
        tests: Sequence[AltTest] = ()
        if in_full and len(selection.annotators) > 1:
            strata = _strata(selection, sides, settings)
            tests = _tests(selection, judge, sides, options.epsilon)
        found.append(JudgeAgreement(judge, selection.reference, comparisons, strata, tests))
    if progress is not None:
        progress.close()
    return found


def outcome_agreements(selection: Selection, options: argparse.Namespace) -> list[OutcomeAgreement]:
    """Compare each judge with the outcome, by criterion and by the total of the criteria."""
    if not options.outcome:
        return []
    table, found = selection.table, []
    for judge in selection.judges:
        keys = selection.keys_of(judge)
        columns = {key: table.column(judge, key) for key in keys}
        scores = {key: column.scores for key, column in columns.items()}
        counted = table.total_columns(judge, keys)
        if len(counted) > 1 and len({column.scale for column in counted}) == 1:
            total = np.sum([column.scores for column in counted], axis=0)
            scores |= {} if np.isnan(total).all() else {_TOTAL: total}
        found += [
            compare_with_outcome(
                table,
                judge,
                key,
                values,
                options.outcome,
                seed=options.seed,
                resamples=options.resamples,
            )
            for key, values in scores.items()
        ]
    return found


def _strata(
    selection: Selection,
    sides: Mapping[str, tuple[ScoreColumn, ScoreColumn]],
    settings: Mapping[str, int],
) -> list[Stratum]:
    joined = join(selection.table, list(sides.values()))
    counts = [join(selection.table, [side]).n for side in sides.values()]
    annotators = [selection.annotators_on(key) for key in sides]
    return by_agreement(joined, annotators, counts, **settings)


def _tests(
    selection: Selection,
    judge: str,
    sides: Mapping[str, tuple[ScoreColumn, ScoreColumn]],
    epsilon: float,
) -> list[AltTest]:
    """The alternative annotator test on each criterion, and on all together."""
    theirs = {}
    for key in sides:
        columns = {column.judge: column for column in selection.annotators_on(key)}
        theirs[key] = [columns.get(name) for name in selection.annotators]
    return alternative_annotator_tests(
        judge,
        {key: ours for key, (ours, _) in sides.items()},
        selection.annotators,
        theirs,
        selection.table.problem_codes,
        epsilon,
    )


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
            f"{table.repeated} of {table.rows} rows have the question and response of an earlier "
            "row; each counts."
        )
    if table.dropped:
        notes.append(f"{table.dropped} lines say the same as an earlier line and are left out.")
    return notes


def _resamples(text: str) -> int:
    return 0 if text == "0" else flags.positive(text)


def _allowance(text: str) -> float:
    value = flags.number(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 0 and below 1, not {text[:40]}")
    return value
