"""The findings of an audit of a file, as tables and as JSON."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.audits.edits import LOWER, NO_RISE, SAME
from inspector_plugin.audits.findings import (
    FALSE_DISCOVERIES,
    FAULT,
    LABELS_ALLOWED,
    NO_FAULT,
    OPEN,
    EditReport,
    FileReport,
    Finding,
)
from inspector_plugin.audits.rows import Survey
from inspector_plugin.audits.stability import Stability
from inspector_plugin.report.document import Cell, Column, Document, Section, Table

FORMAT_VERSION = 1
_FINDINGS = {FAULT: "fault", NO_FAULT: "ok", OPEN: "open"}
_SHOULD = {SAME: "=", NO_RISE: "≤", LOWER: "<"}


def edits_document(name: str, found: Survey, report: FileReport) -> Document:
    """Build the tables of an audit, as a report.

    Args:
        name: What the tables call the judge.
        found: The rows.
        report: The findings.
    """
    scores = report.scores
    facts = [
        ("judge", name),
        ("rows", f"{report.rows} on {report.problems} problems"),
        ("scores", f"{scores.given} of {scores.asked}"),
    ]
    if scores.usage is not None:
        facts.append(("usage", str(scores.usage)))
    tables = [_verdicts(name, report), *map(_edit_table, report.edits)]
    if report.stability:
        tables.append(_stability_table(report))
    rows = Section("rows", "Rows", _about_rows(found, report))
    lead = _conclusion(report)
    return Document(
        f"Audit of {name} on {found.path.name}",
        facts,
        [rows, Section("findings", "Findings", lead, tables)],
    )


def edits_to_json(found: Survey, report: FileReport) -> dict[str, Any]:
    """Return the findings as values that JSON can hold."""
    scores = report.scores
    return {
        "format_version": FORMAT_VERSION,
        "source": {
            "file": found.path.name,
            "sha256": found.sha256,
            "rows": report.rows,
            "problems": report.problems,
            "bad_rows": found.bad,
            "bad_rows_named": found.named,
            "repeated_rows": found.repeated,
            "rows_of_other_errors": found.other_errors,
            "rows_not_drawn": found.not_drawn,
        },
        "criteria": list(scores.criteria),
        "tolerance": report.tolerance,
        "false_discovery_rate": FALSE_DISCOVERIES,
        "labels_allowed": LABELS_ALLOWED,
        "scores_asked": scores.asked,
        "scores_given": scores.given,
        "reasons": dict(scores.reasons),
        "usage": None if scores.usage is None else scores.usage.to_json(),
        "edits": [_edit_to_json(each) for each in report.edits],
        "stability": [_stability_to_json(each) for each in report.stability],
    }


def _conclusion(report: FileReport) -> str:
    counts = Counter(each.verdict for each in report.edits)
    said = [f"{counts[FAULT]} of {len(report.edits)} edits show a fault of the judge"]
    if report.faults:
        said[0] += f" ({', '.join(each.edit.key for each in report.faults)})"
    if counts[OPEN]:
        said.append(f"{counts[OPEN]} cannot be told with so few rows")
    return "; ".join(said) + "."


def _about_rows(found: Survey, report: FileReport) -> str:
    scores = report.scores
    lines = [f"{report.rows} rows of {found.path.name}, on {report.problems} problems"]
    if found.not_drawn:
        lines[0] += f"; {found.not_drawn} more were not drawn"
    if found.repeated:
        lines.append(f"{found.repeated} rows that say the same as an earlier one are left out")
    if found.other_errors:
        lines.append(f"{found.other_errors} rows without such an error planted are left out")
    if found.bad:
        lines.append(f"{found.bad} rows cannot be used; the first of them:")
        lines += [f"  {named}" for named in found.named]
    lines += [f"{count} scores are missing: {reason}" for reason, count in scores.reasons.items()]
    return "\n".join(lines)


def _verdicts(name: str, report: FileReport) -> Table:
    rows = [(each.edit.key, each.words, each.made, each.labels_changed) for each in report.edits]
    return Table(
        f"{name}: what each edit does to its scores",
        [Column("edit"), Column("finding"), Column("n", "count"), Column("labels", "share")],
        rows,
        "n: responses that the edit was made of. labels: the share of labels that change, over all "
        "criteria, with 95% interval by problem.\n"
        "In the tables below, aim: what a fair judge's scores do: stay (=), not rise (≤), fall "
        "(<). shift: mean difference, edited less unedited, with 95% interval by problem. lower: "
        "share of responses that score lower. labels: share of labels that change. least: the "
        "smallest shift that a sample like this shows with a power of 80%. q: the share of false "
        f"discoveries at which the shift counts (at most {FALSE_DISCOVERIES:g}). A shift below "
        f"{report.tolerance:g} of the scale is no fault, nor is it one if at most "
        f"{LABELS_ALLOWED:.0%} of the labels change.",
    )


def _edit_table(report: EditReport) -> Table:
    columns = [
        Column("criterion"),
        Column("aim"),
        Column("shift", "share"),
        Column("lower", "share"),
        Column("labels", "share"),
        Column("least", "share"),
        Column("q", "share"),
        Column("found"),
    ]
    rows = [_finding_cells(each) for each in report.findings]
    return Table(f"{report.edit.key}: {report.edit.description}", columns, rows)


def _finding_cells(finding: Finding) -> tuple[Cell, ...]:
    shift = finding.shift
    return (
        finding.measure,
        _SHOULD[finding.expected],
        None if shift is None else shift.mean,
        _value(finding.lower),
        _value(finding.labels_changed),
        None if shift is None else shift.detectable,
        finding.q,
        _FINDINGS[finding.verdict],
    )


def _stability_table(report: FileReport) -> Table:
    columns = [
        Column("criterion"),
        Column("pairs", "count"),
        Column("deviation", "figure"),
        Column("labels changed", "share"),
    ]
    rows = [
        (each.measure, each.pairs, each.deviation, each.labels_changed) for each in report.stability
    ]
    return Table(
        "The same responses judged again",
        columns,
        rows,
        "deviation: standard deviation of a response's score over its judgements. labels changed: "
        "share of repeats whose label is not the first one's, with 95% interval by problem.",
    )


def _value(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.value


def _estimate_to_json(estimate: Estimate | None) -> dict[str, float | None] | None:
    if estimate is None:
        return None
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def _edit_to_json(report: EditReport) -> dict[str, Any]:
    return {
        "edit": report.edit.key,
        "description": report.edit.description,
        "made": report.made,
        "labels_changed": _estimate_to_json(report.labels_changed),
        "verdict": report.verdict,
        "words": report.words,
        "findings": [_finding_to_json(each) for each in report.findings],
    }


def _finding_to_json(finding: Finding) -> dict[str, Any]:
    shift = finding.shift
    return {
        **asdict(finding),
        "shift": None if shift is None else _estimate_to_json(shift.mean),
        "problems": 0 if shift is None else shift.problems,
        "p": None if shift is None else shift.p,
        "smallest_detectable": None if shift is None else shift.detectable,
        "lower": _estimate_to_json(finding.lower),
        "labels_changed": _estimate_to_json(finding.labels_changed),
        "labels_raised": _estimate_to_json(finding.labels_raised),
        "largest": [
            {"row": number, "before": before, "after": after}
            for number, before, after in finding.largest
        ],
    }


def _stability_to_json(stability: Stability) -> dict[str, Any]:
    return {
        **asdict(stability),
        "labels_changed": _estimate_to_json(stability.labels_changed),
    }
