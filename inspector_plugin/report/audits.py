"""The figures of the sanity suite as tables and as JSON."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.audits.run import KindFigures, Ordering, Report
from inspector_plugin.audits.suite import Suite
from inspector_plugin.report.document import Column, Document, Section, Table

FORMAT_VERSION = 1


def suite_document(name: str, suite: Suite, report: Report) -> Document:
    """Build the tables of a judge, as a report.

    Args:
        name: What the tables call the judge.
        suite: The suite that was judged.
        report: The figures.
    """
    tables = [_kinds_table(name, report)]
    if report.orderings:
        tables.insert(0, _orderings_table(name, suite, report))
    remarks = [
        f"left out, as {lower_on} was not judged: {', '.join(kinds)}"
        for lower_on, kinds in report.left_out.items()
    ]
    remarks += [f"{count} scores are missing: {reason}" for reason, count in report.reasons.items()]
    last = replace(tables[-1], note="\n".join([tables[-1].note or "", *remarks]))
    section = Section("suite", "Sanity suite", parts=[*tables[:-1], last])
    facts = [("judge", name), ("suite", f"{suite.name} {suite.version}")]
    return Document(f"{name} on the suite {suite.name}", facts, [section])


def report_to_json(suite: Suite, report: Report) -> dict[str, Any]:
    """Return the figures as values that JSON can hold."""
    return {
        "format_version": FORMAT_VERSION,
        "suite": {
            "name": suite.name,
            "version": suite.version,
            "sha256": suite.sha256,
            "problems": len(suite.problems),
            "responses": len(suite.items),
        },
        "criteria": list(report.criteria),
        "warning_flags": list(report.flags),
        "margin": report.margin,
        "scores_asked": report.asked,
        "scores_given": report.given,
        "orderings": [_ordering_to_json(each) for each in report.orderings],
        "kinds": [_figures_to_json(each) for each in report.kinds],
        "right": _figures_to_json(report.right),
        "nonsense": _figures_to_json(report.nonsense),
        "left_out": {lower_on: list(kinds) for lower_on, kinds in report.left_out.items()},
        "reasons": dict(report.reasons),
    }


def _orderings_table(name: str, suite: Suite, report: Report) -> Table:
    rows = [
        (each.kind, each.lower_on, each.share, each.ties, each.shift, each.unscored)
        for each in report.orderings
    ]
    columns = [
        Column("kind"),
        Column("lower on"),
        Column("ordered rightly", "share"),
        Column("ties", "share"),
        Column("shift", "figure"),
        Column("unscored", "count"),
    ]
    return Table(
        f"{name} on the suite {suite.name} {suite.version} ({len(suite.problems)} problems, "
        f"{len(suite.items)} responses): what must score lower than a right solution",
        columns,
        rows,
        "ordered rightly: share of pairs with right solutions of the same problem in which "
        "the response scores lower, with 95% interval by problem; a tie is not lower. shift: mean "
        "difference of the scores. unscored: pairs that lack a score and are left out.",
    )


def _kinds_table(name: str, report: Report) -> Table:
    rows = [
        (each.kind, each.responses, each.scored, each.flagged, each.total, each.told_apart)
        for each in (*report.kinds, report.right, report.nonsense)
    ]
    columns = [
        Column("kind"),
        Column("n", "count"),
        Column("scored", "count"),
        Column("flagged", "share"),
        Column("total", "figure"),
        Column("told apart", "share"),
    ]
    margin = "a margin" if report.margin is None else f"{report.margin:g} points"
    return Table(
        f"{name}: each kind, all right solutions, and all nonsense",
        columns,
        rows,
        f"flagged: {' or '.join(report.flags) or 'by no flag'}. total: mean of the five "
        f"criteria's sum. told apart: share of pairs in which nonsense is flagged or at least "
        f"{margin} below the right solution.",
    )


def _ordering_to_json(ordering: Ordering) -> dict[str, Any]:
    by_dataset = {name: _to_json(each) for name, each in ordering.by_dataset.items()}
    estimates = {"share": _to_json(ordering.share), "same_style": _to_json(ordering.same_style)}
    return {**asdict(ordering), **estimates, "by_dataset": by_dataset}


def _figures_to_json(figures: KindFigures) -> dict[str, Any]:
    return {
        **asdict(figures),
        "flagged": _to_json(figures.flagged),
        "told_apart": _to_json(figures.told_apart),
    }


def _to_json(estimate: Estimate | None) -> dict[str, float | None] | None:
    if estimate is None:
        return None
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}
