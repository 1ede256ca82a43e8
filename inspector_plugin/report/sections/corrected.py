"""Means and shares of a cheap judge on all rows, corrected by a reference on some."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inspector_plugin.agreement.corrected import LabelledSample, corrected_mean, corrected_share
from inspector_plugin.data.score_table import ScoreTable
from inspector_plugin.report.document import Cell, Column, Missing, Section, Table
from inspector_plugin.report.sections.agreement import NO_REFERENCE, compared

_TITLE = "Corrected figures"


def corrected_section(
    table: ScoreTable, reference: str | None, annotators: Sequence[str] = ()
) -> Section:
    """What the reference would give to all rows, from the judge's scores and its own of some."""
    if reference is None:
        return Section("corrected", _TITLE, absent=NO_REFERENCE)
    means: list[Sequence[Cell]] = []
    shares: list[Sequence[Cell]] = []
    remarks: dict[str, None] = {}
    for key, judge, ours, theirs in compared(table, reference, annotators):
        rows = ours.scored
        labelled = rows & theirs.scored
        if not labelled.any() or labelled.sum() == rows.sum():
            continue
        problems = table.problem_codes[rows]
        mean = corrected_mean(LabelledSample(ours.scores[rows], theirs.scores[rows], problems))
        missing = Missing(mean.reason or "it is not defined")
        means.append(
            [
                key,
                judge,
                mean.rows,
                mean.labels,
                mean.naive,
                mean.labels_only or missing,
                mean.corrected or missing,
                missing if mean.labels_saved is None else float(mean.labels_saved),
            ]
        )
        remarks |= dict.fromkeys(f"{judge}, {key}: {remark}" for remark in mean.remarks)
        high = [
            np.where(column.scored, column.scores > column.scale.middle, np.nan)[rows]
            for column in (ours, theirs)
        ]
        share = corrected_share(LabelledSample(high[0], high[1], problems))
        missing = Missing(share.reason or "it is not defined")
        shares.append(
            [
                key,
                judge,
                share.naive,
                missing if share.sensitivity is None else share.sensitivity,
                missing if share.specificity is None else share.specificity,
                share.corrected or missing,
            ]
        )
    if not means:
        return Section(
            "corrected",
            _TITLE,
            absent=f"Not shown: {reference} has scored none of the judges' responses, or all: "
            "then its own means need no correction.",
        )
    return Section(
        "corrected",
        _TITLE,
        f"What {reference} would give to all responses, from the judge's scores of all and its own "
        "of some. The intervals include the error of that sample; they take the sample for a "
        "random one.",
        [
            Table(
                "Means (PPI++)",
                [
                    Column("criterion"),
                    Column("judge"),
                    Column("responses", "count"),
                    Column("labels", "count"),
                    Column("judge's mean", "figure"),
                    Column("labels alone", "figure"),
                    Column("corrected", "figure"),
                    Column("labels saved", "count"),
                ],
                means,
                " ".join(
                    [
                        "Labels saved: how many more labels it would take without the judge.",
                        *remarks,
                    ]
                ),
            ),
            Table(
                "Share of high quality (Rogan-Gladen)",
                [
                    Column("criterion"),
                    Column("judge"),
                    Column("judge's share", "share"),
                    Column("sensitivity", "share"),
                    Column("specificity", "share"),
                    Column("corrected", "share"),
                ],
                shares,
                "High quality: a score above the middle of the scale.",
            ),
        ],
    )
