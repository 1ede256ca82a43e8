"""Several annotators as tables: among themselves, and beside a judge that may replace them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from inspector_plugin.agreement.alt_test import EPSILONS, FALSE_DISCOVERY_RATE, AltTest
from inspector_plugin.agreement.annotators import Stratum
from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.errors import count_of
from inspector_plugin.report.document import Cell, Column, Missing, Section, Table
from inspector_plugin.report.statistic_names import NAMES


@dataclass(frozen=True)
class Everyone:
    """All whose scores take part, held against each other.

    Attributes:
        names: Who.
        alphas: Krippendorff's alpha of all of them, by criterion.
        kappas: Quadratic kappa of each pair over all criteria; None where it is not defined.
        title: Of whom: all, or the annotators.
    """

    names: Sequence[str]
    alphas: Mapping[str, Estimate | None]
    kappas: Mapping[tuple[str, str], float | None] = field(default_factory=dict)
    title: str = "all"


def everyone_section(found: Everyone) -> Section:
    """Build the section of how far all agree with all."""
    title = f"Agreement of {found.title} among themselves"
    alphas = Table(
        f"Krippendorff's alpha (ordinal) of {found.title}: {', '.join(found.names)}",
        [Column("criterion"), Column("alpha", "share")],
        [
            [key, alpha or Missing("no response has two labels, or all labels are the same")]
            for key, alpha in found.alphas.items()
        ],
        note="[95% interval, problems resampled]",
    )
    tables = [alphas]
    if found.kappas:
        rows: list[list[Cell]] = []
        for number, one in enumerate(found.names, start=1):
            cells: list[Cell] = [f"{number} {one}"]
            for other in found.names:
                if one == other:
                    cells.append(None)
                else:
                    cells.append(found.kappas.get((one, other), found.kappas.get((other, one))))
            rows.append(cells)
        columns = [Column("who"), *(Column(str(n), "share") for n in range(1, len(rows) + 1))]
        tables.append(
            Table("Quadratic kappa of each pair, over all criteria that both scored", columns, rows)
        )
    return Section(f"agreement of {found.title}", title, "", tables)


def strata_table(title: str, strata: Sequence[Stratum]) -> Table:
    """Build the table of a judge's agreement by how far the annotators agree."""
    names = ("accuracy", "quadratic_kappa", "spearman")
    reason = "the labels or scores of one side are all the same, or there are fewer than two"
    return Table(
        f"{title}, by how far the annotators agree",
        [Column("labels apart"), Column("n", "count")]
        + [Column(NAMES[name], "share") for name in names],
        [
            [each.apart, each.n, *(each.statistics[name] or Missing(reason) for name in names)]
            for each in strata
        ],
        note="labels apart: the highest label that an annotator gave minus the lowest.",
    )


def test_section(judge: str, tests: Sequence[AltTest]) -> Section:
    """Build the section of whether a judge may replace the annotators.

    Args:
        judge: The judge.
        tests: The alternative annotator test on each criterion, at least one; the last is the one
            that decides.
    """
    last = tests[-1]
    recommended = ", ".join(f"{epsilon:g} for {who}" for who, epsilon in EPSILONS.items())
    closeness = "root mean squared difference" if last.alignment == "rmse" else "equal labels"
    rows: list[list[Cell]] = [
        [
            test.key,
            Missing(test.reason) if test.reason else test.winning_rate,
            test.advantage,
            {True: "yes", False: "no", None: "-"}[test.passed],
        ]
        for test in tests
    ]
    overall = Table(
        "Alternative annotator test",
        [
            Column("criterion"),
            Column("winning rate", "figure"),
            Column("advantage", "share"),
            Column("may replace"),
        ],
        [[row[0], row[1], row[2], row[3]] for row in rows],
        note="winning rate: share of the annotators that the judge wins against, .50 is asked; "
        "advantage: how often the judge is at least as close to the other annotators as the one "
        f"left out. Closeness: {closeness}; epsilon {last.epsilon:g} (recommended: {recommended}); "
        f"false discovery rate {FALSE_DISCOVERY_RATE:g}.",
    )
    tables = [overall]
    if last.annotators:
        tables.append(
            Table(
                f"{judge} against each annotator on {last.key}",
                [
                    Column("annotator"),
                    Column("n", "count"),
                    Column("judge ahead", "share"),
                    Column("annotator ahead", "share"),
                    Column("p", "p"),
                    Column("adjusted p", "p"),
                    Column("judge wins"),
                ],
                [
                    [
                        each.annotator,
                        each.items,
                        each.judge_ahead,
                        each.annotator_ahead,
                        each.p,
                        each.adjusted_p,
                        "yes" if each.won else "no",
                    ]
                    for each in last.annotators
                ],
                note=f"{count_of(last.items, 'response')} to "
                f"{count_of(last.problems, 'problem')}, counted as independent. "
                "Ties count for both sides.",
            )
        )
    lead = [last.verdict + "."]
    if last.left_out:
        named = ", ".join(f"{name} ({count})" for name, count in last.left_out)
        lead.append(f"Left out, with too few responses: {named}.")
    return Section(
        f"replacing annotators by {judge}",
        f"Replacing the annotators by {judge}",
        "\n".join(lead),
        tables,
    )
