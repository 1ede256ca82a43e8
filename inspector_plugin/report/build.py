"""Putting a report together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from inspector_plugin.agreement.alt_test import AltTest
from inspector_plugin.agreement.annotators import Stratum
from inspector_plugin.agreement.joined import consensus
from inspector_plugin.agreement.selection import ANNOTATORS
from inspector_plugin.data.score_table import ScoreTable
from inspector_plugin.errors import count_of
from inspector_plugin.progress import Progress
from inspector_plugin.report.document import Document, Section
from inspector_plugin.report.responses import most_telling, shown_responses
from inspector_plugin.report.runs import RunFile, Written, read_run_files, read_written
from inspector_plugin.report.sections.agreement import (
    Comparisons,
    agreement_section,
    comparisons_of,
    confusion_section,
    strata_of,
)
from inspector_plugin.report.sections.calibration import coverage_section, reliability_section
from inspector_plugin.report.sections.corrected import corrected_section
from inspector_plugin.report.sections.outcome import outcome
from inspector_plugin.report.sections.provenance import provenance
from inspector_plugin.report.sections.ranking import ranking_section, rankings
from inspector_plugin.report.sections.scores import length, scores
from inspector_plugin.report.sections.verdicts import alternative_tests, verdicts_section

_STEPS = 12


@dataclass(frozen=True)
class ReportOptions:
    """What a report is to say.

    Attributes:
        title: Its heading.
        reference: The judge that the others are compared with; None for no comparison.
        annotators: Several people whose mean is the reference, in place of a judge.
        responses: How many responses to list.
        show_gpqa: Whether to show the texts of GPQA, too.
        seed: Seed of the resamples.
        resamples: Resamples of the intervals.
    """

    title: str = "Judged responses"
    reference: str | None = None
    annotators: tuple[str, ...] = ()
    responses: int = 500
    show_gpqa: bool = False
    seed: int = 0
    resamples: int = 1000


def build_report(table: ScoreTable, options: ReportOptions) -> Document:
    """Draw conclusions from scores, and put them together.

    Args:
        table: The scores; outcomes that it has are held against the scores, too.
        options: What to say.

    Raises:
        DataError: If the files have changed since the table was read, or annotators score on
            different scales.
    """
    reference, people = options.reference, options.annotators
    seed, resamples = options.seed, options.resamples
    files = read_run_files(table)
    if people:
        reference = ANNOTATORS
        table = with_consensus(table, people)
    with Progress(_STEPS, "Writing the report", "step") as progress:

        def done(section: Section) -> Section:
            progress.advance()
            return section

        rows = table.read_rows(most_telling(table, reference, options.responses))
        written = read_written(table, rows)
        progress.advance()
        comparisons: Comparisons = {}
        strata: dict[str, list[Stratum]] = {}
        tests: list[AltTest] = []
        if reference is not None:
            comparisons = comparisons_of(table, reference, people, seed, resamples)
            strata = strata_of(table, reference, people, seed, resamples)
            tests = alternative_tests(table, reference, people) if people else []
        progress.advance()
        ranked = rankings(table, seed)
        sections = [
            done(verdicts_section(table, ranked, comparisons, tests)),
            done(provenance(table, files, written)),
            done(scores(table)),
            done(ranking_section(table, ranked, reference, seed, resamples)),
            done(agreement_section(comparisons, reference, strata)),
            *(done(outcome(table, name, seed, resamples)) for name in table.outcomes),
            done(confusion_section(comparisons, reference)),
            done(reliability_section(table, reference, people)),
            done(coverage_section(table, reference, people)),
            done(length(table, comparisons)),
            done(corrected_section(table, reference, people)),
        ]
        shown = shown_responses(table, reference, rows, files, written, show_gpqa=options.show_gpqa)
    return Document(
        options.title,
        _facts(table, reference, files, written),
        sections,
        shown,
        _about_responses(table, reference, len(shown)),
    )


def with_consensus(table: ScoreTable, annotators: Sequence[str]) -> ScoreTable:
    """Add the mean of several annotators, as the scores of a judge called "annotators"."""
    columns = dict(table.columns)
    for key in table.keys:
        theirs = [columns[name, key] for name in annotators if (name, key) in columns]
        if theirs:
            columns[ANNOTATORS, key] = consensus(theirs, ANNOTATORS)
    return replace(table, columns=columns, judge_sources={**table.judge_sources, ANNOTATORS: ()})


def _facts(
    table: ScoreTable, reference: str | None, files: Sequence[RunFile], written: Written
) -> list[tuple[str, str]]:
    columns = table.columns.values()
    asked = sum(int(column.asked.sum()) for column in columns)
    scored = sum(int(column.scored.sum()) for column in columns)
    models = {model for model in table.models if model is not None}
    facts = [
        ("Responses", f"{table.rows:,}"),
        ("Problems", f"{len(set(table.problems)):,}"),
        ("Judges", f"{len(table.judges)}"),
        ("Criteria", f"{len(table.keys)}"),
        ("Scores given", f"{math.floor(1000 * scored / max(asked, 1)) / 10:g}%"),
    ]
    if models:
        facts.insert(2, ("Models", f"{len(models)}"))
    if reference is not None:
        facts.append(("Reference", reference))
    costs = [usage.money for usage in written.usage.values()]
    if costs:
        total = sum(cost for cost in costs if cost is not None)
        facts.append(("Cost", "unknown" if None in costs else f"${total:.4f}"))
    return facts


def _about_responses(table: ScoreTable, reference: str | None, count: int) -> str:
    rows = count_of(table.rows, "response")
    few = f"All {rows}" if count == table.rows else f"The {count:,} most telling of {rows}"
    whose = "any two judges'" if reference is None else "a judge's and the reference's"
    return (
        f"{few}. First those where {whose} scores lie furthest apart, "
        "in percent of the scale; then those that are unscored or flagged, then those with the "
        "most extreme scores. Long texts are cut at 4 kB."
    )
