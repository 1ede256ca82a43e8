"""The figures of judges, and of their agreement with a reference, as tables."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from typing import TextIO

from rich.table import Table

from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.agreement.compare import Agreement
from inspector_plugin.report.judge_figures import CriterionSummary, JudgeSummary
from inspector_plugin.report.tables import (
    WIDTH,
    figure,
    interval,
    make_table,
    plain,
    print_tables,
)
from inspector_plugin.schema.criteria import TOTAL
from inspector_plugin.schema.usage import Usage

_STATISTICS = {
    "macro_f1": "macro F1",
    "accuracy": "accuracy",
    "quadratic_kappa": "quadratic kappa",
    "spearman": "Spearman",
    "somers_d": "Somers' D",
}
_LABEL_STATISTICS = ("macro_f1", "accuracy", "quadratic_kappa")
_RANK_STATISTICS = ("spearman", "somers_d")


def print_summaries(
    summaries: Sequence[JudgeSummary],
    reference: str | None = None,
    title: str | None = None,
    file: TextIO | None = None,
) -> None:
    """Print everything there is to say of some judges, in at most 80 columns.

    Args:
        summaries: The judges.
        reference: The name of the reference judge, if there is one.
        title: What was judged, such as a task's name.
        file: Where to print; standard output if None.
    """
    for summary in summaries:
        print_tables(scores_table(summary, title), file=file)
        if summary.overall.unscored:
            print_tables(unscored_table(summary), file=file)
        if summary.overall.flags:
            print_tables(flags_table(summary), file=file)
        if summary.agreement is not None and reference is not None:
            print_tables(*agreement_tables(summary, reference), file=file)
        if summary.usage is not None:
            print(cost_of_run(summary.name, summary.usage), file=file or sys.stdout)


def cost_of_run(name: str, usage: Usage) -> str:
    """Say what a run of a judge cost, in lines of at most 80 columns."""
    return textwrap.fill(plain(f"{name}, this run: {usage}"), WIDTH, subsequent_indent="  ")


def scores_table(summary: JudgeSummary, title: str | None = None) -> Table:
    """Build the table of mean scores, a row for each criterion and one for the total."""
    rows = [_score_row(key, each) for key, each in summary.criteria.items()]
    note = "mean: of the responses that have a score"
    # Where each response is judged on one criterion of several, a total sums up nothing.
    if summary.total is not None and summary.total.scale not in {
        each.scale for each in summary.criteria.values()
    }:
        rows.append(_score_row(TOTAL, summary.total))
        note += "; total: of those scored on all criteria"
    columns: tuple[str, ...] = ("criterion", "scale", "mean", "stderr", "scored")
    if summary.overall.flagged:
        columns = (*columns, "flagged")
        flagged = [str(each.flagged) for each in summary.criteria.values()]
        rows = [(*row, count) for row, count in zip(rows, [*flagged, "-"], strict=False)]
        note += "; flagged: scores with a remark, which count in the mean (--drop-flagged)"
    title = f"{title}: scores by {summary.name}" if title else f"Scores by {summary.name}"
    return make_table(title, columns, rows, note=note)


def unscored_table(summary: JudgeSummary) -> Table:
    """Build the table of why scores are missing, a row for each reason."""
    rows = [(reason, str(count)) for reason, count in summary.overall.unscored.items()]
    return make_table(f"Unscored by {summary.name}", ("reason", "scores missing"), rows)


def flags_table(summary: JudgeSummary) -> Table:
    """Build the table of what is to be said of scores, a row for each flag."""
    rows = [
        (flag, f"{count}/{summary.overall.scored}") for flag, count in summary.overall.flags.items()
    ]
    return make_table(f"Flagged by {summary.name}", ("flag", "scores"), rows)


def agreement_tables(summary: JudgeSummary, reference: str) -> tuple[Table, Table]:
    """Build the tables of a judge's agreement with the reference, labels and ranks."""
    agreement = summary.agreement or {}
    title = f"Agreement of {summary.name} with the reference {reference}"
    return (
        make_table(
            f"{title}: labels",
            ("criterion", *(_STATISTICS[name] for name in _LABEL_STATISTICS)),
            [(key, *_cells(each, _LABEL_STATISTICS)) for key, each in agreement.items()],
            note="macro F1: mean over labels of the F1 score; accuracy: share of equal labels; "
            "quadratic kappa: agreement beyond chance, near misses count less. [95% interval]",
        ),
        make_table(
            f"{title}: ranks",
            ("criterion", "n", *(_STATISTICS[name] for name in _RANK_STATISTICS)),
            [
                (key, str(each.n), *_cells(each, _RANK_STATISTICS))
                for key, each in agreement.items()
            ],
            note="n: responses that both scored; Spearman: rank correlation of the scores; "
            "Somers' D: pairs in the reference's order minus pairs in the other. [95% interval]",
        ),
    )


def _score_row(key: str, summary: CriterionSummary) -> tuple[str, ...]:
    scale = "mixed" if summary.scale is None else f"{summary.scale[0]}-{summary.scale[1]}"
    return (
        key,
        scale,
        figure(summary.mean),
        figure(summary.stderr),
        f"{summary.scored}/{summary.asked}",
    )


def _cells(agreement: Agreement, names: Sequence[str]) -> list[str]:
    return [_cell(agreement.statistics[name], agreement.n) for name in names]


def _cell(estimate: Estimate | None, n: int) -> str:
    if estimate is None:
        return "not enough" if n < 2 else "not defined"
    return interval(estimate.value, estimate.low, estimate.high)
