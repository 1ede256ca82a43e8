"""A plan of labels as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from inspector_plugin.agreement.label_plan import LabelPlan
from inspector_plugin.errors import count_of
from inspector_plugin.report.document import Cell, Column, Missing, Section, Table


def plan_section(
    judge: str,
    plans: Mapping[str | None, LabelPlan],
    width: float | None,
    price: float | None,
    about_price: str,
) -> Section:
    """Build the section.

    Args:
        judge: The judge's name.
        plans: The plan of each model.
        width: The width asked for, if one was.
        price: US dollars a label; None if it is not known.
        about_price: Where the price comes from, or why there is none.
    """
    new = sum(plan.new for plan in plans.values())
    lead = f"{new:,} {'row' if new == 1 else 'rows'} to label"
    if not new:
        lead = "No rows to label"
    elif price is not None:
        lead += f", at ${price:.4g} each ({about_price}): ${new * price:,.2f}"
    else:
        lead += f"; cost {about_price}"
    tables = [_table(judge, model, plan, width) for model, plan in plans.items() if plan.criteria]
    if tables:
        tables[-1] = replace(tables[-1], note=f"{tables[-1].note}\n{_meaning(width)}")
    elif new:
        by_model = ", ".join(
            f"{plan.new} of {plan.rows}" + ("" if model is None else f" of {model}")
            for model, plan in plans.items()
        )
        how = "chosen without a pilot, more often where the judge is unsure or flagged"
        lead += f" ({by_model}; {how})"
    return Section("labels", f"Labels for {judge}", lead + ".", tables)


def _table(judge: str, model: str | None, plan: LabelPlan, width: float | None) -> Table:
    rows: list[list[Cell]] = []
    for key, each in plan.criteria.items():
        missing = Missing(
            f"{key}: {plan.rows} rows do not suffice for this width even if all have labels, so "
            f"that none are chosen for it; about {each.rows_needed:,} would"
        )
        missing_width = Missing(f"{key}: no label")
        needed = (each.needed_labels_only, each.needed_equal, each.needed)
        rows.append(
            [
                key,
                *([missing if n is None else n for n in needed] if width is not None else []),
                missing_width if each.width_before is None else each.width_before,
                missing_width if each.width is None else each.width,
                _drivers(each.of_unsure, each.of_flags),
            ]
        )
    wanted = (
        (
            Column("labels only", "count"),
            Column("equal", "count"),
            Column("planned", "count"),
        )
        if width is not None
        else ()
    )
    of_model = "" if model is None else f"{model}: "
    return Table(
        f"{of_model}labels for {judge}",
        (
            Column("criterion"),
            *wanted,
            Column("now", "figure"),
            Column("then", "figure"),
            Column("errors grow with", "count"),
        ),
        rows,
        note=f"{count_of(plan.new, 'new label')} of {count_of(plan.rows, 'row')}; "
        f"{plan.before} had a label before.",
    )


def _meaning(width: float | None) -> str:
    labels = (
        ""
        if width is None
        else f"labels for a width of {width:g}, those there are included: labels only, without the "
        "judge; equal, rows chosen by equal chances; planned, more often where the judge is likely "
        "to be off. "
    )
    return (
        f"{labels}now, then: width of the 95% interval with the labels there are, and with the new "
        "ones, rows taken for independent; errors grow with: what the pilot shows."
    )


def _drivers(of_unsure: float, of_flags: float) -> str:
    found = [name for name, part in (("doubt", of_unsure), ("flags", of_flags)) if part > 0]
    return " and ".join(found) or "nothing"
