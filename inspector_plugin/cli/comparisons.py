"""What `inspector agree` and `inspector gate` share: what is compared, and the comparisons."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

import numpy as np

from inspector_plugin.agreement.alt_test import AltTest, alternative_annotator_tests
from inspector_plugin.agreement.annotators import Stratum, by_agreement
from inspector_plugin.agreement.comparison import compare_columns
from inspector_plugin.agreement.joined import join
from inspector_plugin.agreement.outcome import OutcomeAgreement, compare_with_outcome
from inspector_plugin.agreement.selection import Selection, select
from inspector_plugin.cli import flags
from inspector_plugin.cli.judged_files import chosen_criteria
from inspector_plugin.data.score_table import ScoreColumn, Source, read_score_table
from inspector_plugin.progress import Progress
from inspector_plugin.report.agreement import JudgeAgreement
from inspector_plugin.schema.criteria import TOTAL

RESAMPLES = 1000
# Rows times resamples that take so long that progress is shown.
_MANY = 10_000_000


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
    people = flags.listed(options.annotators)
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


def outcome_agreements(
    selection: Selection, options: argparse.Namespace, names: Sequence[str] | None = None
) -> list[OutcomeAgreement]:
    """Compare each judge with the outcome, by criterion and by the total of the criteria.

    Args:
        selection: What is compared with what.
        options: The flags.
        names: Whose scores; those of the judges that are compared if None.
    """
    if not options.outcome:
        return []
    table, found = selection.table, []
    for judge in selection.judges if names is None else names:
        keys = selection.keys_of(judge)
        columns = {key: table.column(judge, key) for key in keys}
        scores = {key: column.scores for key, column in columns.items()}
        counted = table.total_columns(judge, keys)
        if len(counted) > 1 and len({column.scale for column in counted}) == 1:
            total = np.sum([column.scores for column in counted], axis=0)
            scores |= {} if np.isnan(total).all() else {TOTAL: total}
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


def _resamples(text: str) -> int:
    return 0 if text == "0" else flags.resamples(text)
