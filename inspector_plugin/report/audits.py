"""The figures of the sanity suite as tables and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.table import Table

from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.audits.run import KindFigures, Ordering, Report
from inspector_plugin.audits.suite import Suite
from inspector_plugin.report.tables import figure, interval, make_table, share

FORMAT_VERSION = 1


def report_tables(name: str, suite: Suite, report: Report) -> list[Table]:
    """Build the tables of a judge.

    Args:
        name: What the tables call the judge.
        suite: The suite that was judged.
        report: The figures.
    """
    tables = [_kinds_table(name, report)]
    if report.orderings:
        tables.insert(0, _orderings_table(name, suite, report))
    return tables


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
        (
            each.kind,
            each.lower_on,
            _estimate(each.share),
            "-" if each.ties is None else share(each.ties),
            figure(each.shift),
            str(each.unscored),
        )
        for each in report.orderings
    ]
    return make_table(
        f"{name} on the suite {suite.name} {suite.version} ({len(suite.problems)} problems, "
        f"{len(suite.items)} responses): what must score lower than a right solution",
        ("kind", "lower on", "ordered rightly", "ties", "shift", "unscored"),
        rows,
        left=2,
        note="ordered rightly: share of pairs with right solutions of the same problem in which "
        "the response scores lower, with 95% interval by problem; a tie is not lower. shift: mean "
        "difference of the scores. unscored: pairs that lack a score and are left out.",
    )


def _kinds_table(name: str, report: Report) -> Table:
    figures = [*report.kinds, report.right, report.nonsense]
    rows = [
        (
            each.kind,
            str(each.responses),
            str(each.scored),
            _estimate(each.flagged),
            figure(each.total),
            _estimate(each.told_apart),
        )
        for each in figures
    ]
    margin = "a margin" if report.margin is None else f"{report.margin:g} points"
    return make_table(
        f"{name}: each kind, all right solutions, and all nonsense",
        ("kind", "n", "scored", "flagged", "total", "told apart"),
        rows,
        note=f"flagged: {' or '.join(report.flags) or 'by no flag'}. total: mean of the five "
        f"criteria's sum. told apart: share of pairs in which nonsense is flagged or at least "
        f"{margin} below the right solution.",
    )


def _estimate(estimate: Estimate | None) -> str:
    return "-" if estimate is None else interval(estimate.value, estimate.low, estimate.high)


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
