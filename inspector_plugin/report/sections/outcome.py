"""Whether scores tell an outcome, such as whether the final answer is right."""

from __future__ import annotations

from dataclasses import replace

from inspector_plugin.agreement.outcome import compare_with_outcome
from inspector_plugin.data.score_table import ScoreTable
from inspector_plugin.report.document import Section
from inspector_plugin.report.outcome import outcome_section
from inspector_plugin.report.sections.ranking import means_of_criteria
from inspector_plugin.report.sections.scores import columns_in_order

_OVERALL = "mean of all"


def outcome(table: ScoreTable, name: str, seed: int, resamples: int) -> Section:
    """Hold the scores against an outcome, by criterion and by the mean over the criteria."""
    values = [(judge, key, column.scores) for key, judge, column in columns_in_order(table)]
    for judge in table.judges:
        means = means_of_criteria(table, judge)
        if means is not None and len(table.keys_of(judge)) > 1:
            values.append((judge, _OVERALL, means))
    found = [
        compare_with_outcome(table, judge, key, scores, name, seed=seed, resamples=resamples)
        for judge, key, scores in values
    ]
    return replace(outcome_section(name, found), key=f"outcome-{number_of(table, name)}")


def number_of(table: ScoreTable, name: str) -> int:
    """The place of an outcome, from 1: its name may hold what no link can."""
    return list(table.outcomes).index(name) + 1
