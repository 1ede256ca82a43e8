"""What can be concluded, in words, before the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.agreement.alt_test import AltTest, alternative_annotator_tests
from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.agreement.compare import OVERALL
from inspector_plugin.agreement.ranking import Ranking
from inspector_plugin.data.score_table import ScoreColumn, ScoreTable
from inspector_plugin.report.document import Cell, Column, Missing, Section, Table, written
from inspector_plugin.report.ranking import verdict
from inspector_plugin.report.sections.agreement import Comparisons, compared

Floats = NDArray[np.float64]

# The flag of scores by a judge that has learnt from the problem.
TRAINED_ON = "trained-on"
_WORDS = {
    "spearman": "rank correlation with the reference",
    "quadratic_kappa": "quadratic kappa with the reference",
}


def verdicts_section(
    table: ScoreTable,
    ranked: Mapping[str, Ranking],
    comparisons: Comparisons,
    tests: Sequence[AltTest],
) -> Section:
    """Which model is better, whether a judge knows more than chance, whether it may replace."""
    rows: list[Sequence[Cell]] = []
    for test in tests:
        if test.key == OVERALL or len({each.key for each in tests}) == 1:
            rows.append(["May it replace the annotators?", test.judge, test.verdict + "."])
    for judge, found in comparisons.items():
        caution = _caution(table, judge)
        rows += [
            ["Does it agree beyond chance?", judge, _beyond_chance(each.statistics) + caution]
            for each in found[-1:]
        ]
    rows += [["Which model is better?", judge, verdict(each)] for judge, each in ranked.items()]
    if not rows:
        return Section(
            "verdicts",
            "Verdicts",
            absent="None: it takes a reference (--reference), several annotators (--annotators), "
            "or two models.",
        )
    columns = [Column("question"), Column("judge"), Column("answer")]
    parts = [Table("What can be told", columns, rows), *([_test_table(tests)] if tests else [])]
    return Section("verdicts", "Verdicts", "", parts)


def alternative_tests(
    table: ScoreTable, reference: str, annotators: Sequence[str]
) -> list[AltTest]:
    """Ask of each judge whether it may replace the annotators, by criterion and overall."""
    columns: dict[str, dict[str, ScoreColumn]] = {}
    theirs: dict[str, dict[str, list[ScoreColumn | None]]] = {}
    for key, judge, ours, _ in compared(table, reference, annotators):
        people = [table.columns.get((name, key)) for name in annotators]
        if any(column is not None for column in people):
            columns.setdefault(judge, {})[key] = ours
            theirs.setdefault(judge, {})[key] = people
    return [
        test
        for judge, own in columns.items()
        for test in alternative_annotator_tests(
            judge, own, annotators, theirs[judge], table.problem_codes
        )
    ]


def _beyond_chance(statistics: Mapping[str, Estimate | None]) -> str:
    for name, words in _WORDS.items():
        estimate = statistics.get(name)
        if estimate is None:
            continue
        low, high = estimate.low, estimate.high
        figure = f"{words} {written(estimate, 'share')}"
        if low is None or high is None:
            return f"Too little to tell: {figure}, without an interval."
        if low > 0:
            return f"Yes: {figure}."
        if high < 0:
            return f"No, the opposite: {figure}."
        return f"Not certain: {figure}, which may be chance."
    return "It cannot be told: no statistic is defined."


def _caution(table: ScoreTable, judge: str) -> str:
    """What makes a judge's figures better than they are: that it was trained on these problems."""
    columns = [column for (name, _), column in table.columns.items() if name == judge]
    scored = sum(int(column.scored.sum()) for column in columns)
    known = sum(int((column.scored & column.flagged(TRAINED_ON)).sum()) for column in columns)
    if not known:
        return ""
    share = f"{100 * known / scored:.0f}%"
    return (
        f" But {share} of its scores are flagged {TRAINED_ON}: it has seen these problems, and the "
        "figures flatter it."
    )


def _test_table(tests: Sequence[AltTest]) -> Table:
    rows: list[Sequence[Cell]] = []
    for test in tests:
        missing = Missing(f"{test.key} by {test.judge}: {test.reason}")
        rate, advantage = test.winning_rate, test.advantage
        rows.append(
            [
                test.judge,
                test.key,
                "no verdict" if test.passed is None else "yes" if test.passed else "no",
                missing if rate is None else rate,
                missing if advantage is None else advantage,
                test.items,
                test.problems,
            ]
        )
    epsilon = tests[0].epsilon
    return Table(
        "May the judge replace the annotators?",
        [
            Column("judge"),
            Column("criterion"),
            Column("may replace"),
            Column("winning rate", "share"),
            Column("advantage", "share"),
            Column("responses", "count"),
            Column("problems", "count"),
        ],
        rows,
        "The alternative annotator test (Calderon et al. 2025), epsilon "
        f"{epsilon:g}. Winning rate: share of the annotators that the judge wins against, half "
        "are enough; advantage: how often it is at least as close to the others as an annotator.",
    )
