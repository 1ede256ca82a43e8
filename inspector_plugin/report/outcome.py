"""How far scores tell an outcome, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from inspector_plugin.agreement.outcome import OutcomeAgreement
from inspector_plugin.report.document import Cell, Column, Missing, Section, Table


def outcome_section(outcome: str, found: Sequence[OutcomeAgreement]) -> Section:
    """Build the section of how far scores tell an outcome."""
    rows: list[list[Cell]] = []
    for each in found:
        missing = Missing(f"{each.key} by {each.judge}: {each.reason}")
        rows.append(
            [
                each.judge,
                each.key,
                each.n,
                each.positive,
                each.auc or missing,
                each.baselines["length only"],
                each.spearman or missing,
            ]
        )
    table = Table(
        f"Scores and {outcome}",
        [
            Column("judge"),
            Column("criterion"),
            Column("n", "count"),
            Column("share", "share"),
            Column("AUC", "share"),
            Column("length", "share"),
            Column("Spearman", "share"),
        ],
        rows,
        note=f"share: of the responses whose {outcome} is the higher value; AUC: of two responses "
        f"that {outcome} tells apart, how often the right one has the higher score (chance and a "
        "constant judge: .50); length: the AUC of a judge that knows the lengths of responses "
        "alone. [95% interval, problems resampled]",
    )
    few = [
        f"{each.key} by {each.judge}: {each.reason}" for each in found if each.auc and each.reason
    ]
    return Section(f"outcome {outcome}", f"Do the scores tell {outcome}?", "\n".join(few), [table])
