"""Corrected means and shares as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inspector_plugin.agreement.corrected import CorrectedMean, CorrectedShare
from inspector_plugin.report.document import Cell, Column, Missing, Section, Table

_MEANS = (
    "labels: rows with a label, of the rows judged; naive: the judge's own mean; corrected: PPI++; "
    "saved: how many more labels would do the same without the judge. [95% interval]"
)
_SHARES = (
    "high: above the middle of the scale; naive: the share that the judge finds high; sens., "
    "spec.: share of what is high (low) by the reference that the judge finds high (low). [95% "
    "interval]"
)


def corrected_section(
    judge: str,
    reference: str,
    model: str | None,
    means: Mapping[str, CorrectedMean],
    shares: Mapping[str, tuple[CorrectedShare, CorrectedMean] | str],
    notes: Sequence[str] = (),
    legend: bool = True,
) -> Section:
    """Build the section of one judge and model.

    Args:
        judge: The judge's name.
        reference: The reference's name.
        model: The model whose responses were judged; None for all of them.
        means: The corrected means, by criterion.
        shares: The corrected shares of high quality, by Rogan and Gladen and by PPI++; in their
            place why there is none.
        notes: What to mind, in lines.
        legend: Whether to say what the figures mean.
    """
    of_model = "" if model is None else f"{model}: "
    title = f"{of_model}{judge} corrected by {reference}"
    about = f"{of_model}means of {judge}, corrected by {reference}"
    tables = [_means_table(about, means, notes, legend)]
    if shares:
        named = f"{of_model}share of high quality by {judge}, corrected by {reference}"
        tables.append(_shares_table(named, shares, legend))
    return Section(title, title, parts=tables)


def _means_table(
    title: str, means: Mapping[str, CorrectedMean], notes: Sequence[str], legend: bool
) -> Table:
    rows: list[list[Cell]] = []
    for key, each in means.items():
        reason = Missing(f"{key}: {each.reason}")
        rows.append(
            [
                key,
                f"{each.labels}/{each.rows}",
                each.naive,
                reason if each.labels_only is None else each.labels_only,
                reason if each.corrected is None else each.corrected,
                reason if each.labels_saved is None else each.labels_saved,
            ]
        )
    keys_of: dict[str, list[str]] = {}
    for key, each in means.items():
        for remark in each.remarks:
            keys_of.setdefault(remark, []).append(key)
    remarks = [f"{', '.join(keys)}: {remark}" for remark, keys in keys_of.items()]
    return Table(
        title,
        (
            Column("criterion"),
            Column("labels", "count"),
            Column("naive", "figure"),
            Column("labels only", "figure"),
            Column("corrected", "figure"),
            Column("saved", "count"),
        ),
        rows,
        note="\n".join([*([_MEANS] if legend else []), *remarks, *notes]) or None,
    )


def _shares_table(
    title: str, shares: Mapping[str, tuple[CorrectedShare, CorrectedMean] | str], legend: bool
) -> Table:
    rows: list[list[Cell]] = []
    for key, pair in shares.items():
        if isinstance(pair, str):
            missing = Missing(f"{key}: {pair}")
            rows.append([key, *[missing] * 5])
            continue
        share, mean = pair
        reason = Missing(f"{key}: {share.reason}")
        rows.append(
            [
                key,
                share.naive,
                reason if share.corrected is None else share.corrected,
                Missing(f"{key}: {mean.reason}") if mean.corrected is None else mean.corrected,
                reason if share.sensitivity is None else share.sensitivity,
                reason if share.specificity is None else share.specificity,
            ]
        )
    reasons = [
        f"{key}: no interval: {each.reason}"
        for key, pair in shares.items()
        if not isinstance(pair, str)
        for each in pair
        if each.reason is not None and each.corrected is not None
    ]
    return Table(
        title,
        (
            Column("criterion"),
            Column("naive", "share"),
            Column("Rogan-Gladen", "share"),
            Column("PPI++", "share"),
            Column("sens.", "share"),
            Column("spec.", "share"),
        ),
        rows,
        note="\n".join([*([_SHARES] if legend else []), *dict.fromkeys(reasons)]) or None,
    )
