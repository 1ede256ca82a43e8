"""How far a judge's confidence can be relied on, and what is left if the unsure scores go."""

from __future__ import annotations

from collections.abc import Sequence

from inspector_plugin.data.score_table import ScoreTable
from inspector_plugin.report.charts import Line, Panel, line_panels
from inspector_plugin.report.curves import Reliability, coverage_curve, reliability
from inspector_plugin.report.document import Cell, Chart, Column, Missing, Section, Table
from inspector_plugin.report.sections.agreement import NO_REFERENCE, compared
from inspector_plugin.report.sections.scores import MOST_PANELS


def reliability_section(
    table: ScoreTable, reference: str | None, annotators: Sequence[str] = ()
) -> Section:
    """Confidence against agreement with the reference."""
    title = "Reliability"
    if reference is None:
        return Section("reliability", title, absent=NO_REFERENCE)
    panels: dict[str, list[Line]] = {}
    rows: list[Sequence[Cell]] = []
    for key, judge, ours, theirs in compared(table, reference, annotators):
        curve = reliability(ours, theirs)
        if not isinstance(curve, Reliability):
            rows.append([key, judge, 0, *[Missing(curve)] * 3])
            continue
        rows.append([key, judge, curve.n, curve.mean_confidence, curve.mean_agreement, curve.error])
        if curve.confidence.size:
            values = (curve.confidence, curve.agreement, curve.low, curve.high)
            panels.setdefault(key, []).append(Line(judge, *(each.tolist() for each in values)))
    if not any(row[2] for row in rows):
        reasons = sorted({cell.reason for row in rows for cell in row if isinstance(cell, Missing)})
        listed = "; ".join(reasons) or "the reference and the judges have no criterion in common"
        return Section("reliability", title, absent=f"Not shown: {listed}.")
    parts: list[Chart | Table] = [
        Table(
            "Confidence and agreement",
            [
                Column("criterion"),
                Column("judge"),
                Column("responses", "count"),
                Column("confidence", "share"),
                Column("agreement", "share"),
                Column("calibration error", "share"),
            ],
            rows,
            "Confidence: probability of the label chosen. Agreement: share of labels that are the "
            "reference's. Calibration error: mean gap of the two over ten bins, weighted by size.",
        )
    ]
    if panels:
        chart = line_panels(
            "Agreement by confidence",
            "Share of labels that are the reference's among responses of similar confidence, with "
            "95% bands. On the dashed line confidence is what it claims to be.",
            _first(panels),
            "probability of the label chosen",
            "share of equal labels",
            diagonal=True,
            limits=(0, 1),
        )
        parts.insert(0, chart)
    return Section("reliability", title, "", parts)


def coverage_section(
    table: ScoreTable, reference: str | None, annotators: Sequence[str] = ()
) -> Section:
    """Agreement with the reference if only the surest scores are kept."""
    title = "Coverage against agreement"
    if reference is None:
        return Section("coverage", title, absent=NO_REFERENCE)
    panels: dict[str, list[Line]] = {}
    rows: list[Sequence[Cell]] = []
    for key, judge, ours, theirs in compared(table, reference, annotators):
        curve = coverage_curve(ours, theirs)
        if curve is not None:
            coverage, agreement = curve
            panels.setdefault(key, []).append(Line(judge, coverage.tolist(), agreement.tolist()))
            half = int((coverage >= coverage[-1] / 2).argmax())
            rows.append([key, judge, float(agreement[half]), float(agreement[-1])])
    if not panels:
        return Section(
            "coverage",
            title,
            absent="Not shown: it takes a judge with probabilities, on the reference's scale, and "
            "20 responses that both have scored.",
        )
    chart = line_panels(
        "Agreement if only the surest scores are kept",
        "Share of equal labels among the judge's surest scores; the line ends at its coverage. A "
        "line that falls to the right belongs to a judge that knows when it is right.",
        _first(panels),
        "share of the responses kept",
        "share of equal labels",
    )
    columns = [
        Column("criterion"),
        Column("judge"),
        Column("surest half", "share"),
        Column("all scored", "share"),
    ]
    return Section("coverage", title, "", [chart, Table("Share of equal labels", columns, rows)])


def _first(panels: dict[str, list[Line]]) -> list[Panel]:
    return [Panel(key, lines) for key, lines in panels.items()][:MOST_PANELS]
