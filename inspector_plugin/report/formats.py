"""A report as Markdown, CSV and JSON; `report.html` writes the page."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import asdict
from typing import Any

from inspector_plugin import __version__
from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.data.text import plain
from inspector_plugin.report.document import (
    Cell,
    Document,
    Missing,
    Section,
    ShownResponse,
    Table,
    plain_value,
    written,
)

# What Markdown would read as its own, HTML among it.
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|&~!$])")


def as_json(document: Document) -> str:
    """Write a report as JSON: every figure with its interval, and the responses listed."""
    content = {
        "inspector_plugin": __version__,
        "title": document.title,
        "facts": dict(document.facts),
        "sections": [_section_to_json(section) for section in document.sections],
        "responses": [_response_to_json(response) for response in document.responses],
    }
    return json.dumps(content, indent=1) + "\n"


def as_csv(document: Document) -> str:
    """Write the figures of a report as CSV, a line for each.

    A text that a spreadsheet would take for a formula has an apostrophe before it.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["section", "table", "row", "column", "value", "low", "high", "reason"])
    for section in document.sections:
        for table in section.tables:
            for number, row in enumerate(table.rows, start=1):
                for column, cell in zip(table.columns, row, strict=True):
                    names = [section.key, table.title, str(number), column.name]
                    writer.writerow([_no_formula(each) for each in [*names, *_csv_cells(cell)]])
    return out.getvalue()


def as_markdown(document: Document) -> str:
    """Write the tables of a report as Markdown. The charts and responses are left to the page."""
    lines = [f"# {_escaped(document.title)}", ""]
    lines += [f"- {_escaped(name)}: {_escaped(value)}" for name, value in document.facts]
    for section in document.sections:
        lines += ["", f"## {_escaped(section.title)}"]
        if section.absent is not None:
            lines += ["", _escaped(section.absent)]
            continue
        if section.lead:
            lines += ["", _escaped(section.lead)]
        for table in section.tables:
            lines += ["", f"### {_escaped(table.title)}", "", *_markdown_table(table)]
    return "\n".join(lines) + "\n"


def _markdown_table(table: Table) -> list[str]:
    head = " | ".join(_escaped(column.name) for column in table.columns)
    rule = " | ".join("---:" if column.is_number else "---" for column in table.columns)
    rows = [
        " | ".join(
            _escaped(written(cell, column.form))
            for column, cell in zip(table.columns, row, strict=True)
        )
        for row in table.rows
    ]
    notes = [note for note in (table.note, *map(_not_defined, table.reasons)) if note]
    below = [each for note in notes for each in ("", _escaped(note))]
    return [f"| {line} |" for line in (head, rule, *rows)] + below


def _not_defined(reason: str) -> str:
    return f"Not defined: {reason}"


def _escaped(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", plain(text))


def _section_to_json(section: Section) -> dict[str, Any]:
    return {
        "key": section.key,
        "title": section.title,
        "absent": section.absent,
        "tables": [
            {
                "title": table.title,
                "columns": [column.name for column in table.columns],
                "rows": [[plain_value(cell) for cell in row] for row in table.rows],
                "note": table.note,
            }
            for table in section.tables
        ],
    }


def _response_to_json(response: ShownResponse) -> dict[str, Any]:
    return {**asdict(response), "difference": response.difference}


def _csv_cells(cell: Cell) -> list[str]:
    if isinstance(cell, Missing):
        return ["", "", "", cell.reason]
    if isinstance(cell, Estimate):
        values = plain_value(cell)
        return [_csv_text(values[name]) for name in ("value", "low", "high")] + [""]
    return [_csv_text(plain_value(cell)), "", "", ""]


def _csv_text(value: Any) -> str:
    return "" if value is None else str(value)


def _no_formula(text: str) -> str:
    is_number = re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", text) is not None
    return "'" + text if text[:1] in tuple("=+-@\t\r") and not is_number else text
