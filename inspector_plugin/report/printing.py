"""Conclusions on the terminal or standard output: tables of 80 columns, Markdown, CSV or JSON."""

from __future__ import annotations

import io
import json
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Literal, TextIO

from inspector_plugin import __version__
from inspector_plugin.report.document import Document, Missing, Table, written
from inspector_plugin.report.formats import as_csv, as_markdown
from inspector_plugin.report.tables import WIDTH, make_table, plain, print_tables

OutputFormat = Literal["table", "md", "csv", "json"]
OUTPUT_FORMATS: tuple[OutputFormat, ...] = ("table", "md", "csv", "json")


def print_document(
    document: Document,
    content: Mapping[str, Any],
    output_format: OutputFormat = "table",
    file: TextIO | None = None,
) -> None:
    """Print conclusions.

    Args:
        document: Them as tables.
        content: Them as plain values and dataclasses, for JSON.
        output_format: As what to print them.
        file: Where to; standard output if None.
    """
    file = file or sys.stdout
    if output_format == "json":
        values = {"inspector_plugin": __version__, **_rounded(content)}
        file.write(json.dumps(values, indent=1) + "\n")
    elif output_format == "csv":
        file.write(as_csv(document))
    elif output_format == "md":
        file.write(as_markdown(document))
    else:
        for section in document.sections:
            if section.lead:
                said = f"{section.title}: {section.lead}"
                print("\n".join(_wrapped(line) for line in said.splitlines()) + "\n", file=file)
            for table in section.tables:
                _print_table(table, file)


def _print_table(table: Table, file: TextIO) -> None:
    rows = [
        [
            "-" if cell is None or isinstance(cell, Missing) else written(cell, column.form)
            for cell, column in zip(row, table.columns, strict=True)
        ]
        for row in table.rows
    ]
    left = 0
    while left < len(table.columns) and not table.columns[left].is_number:
        left += 1
    names = [column.name for column in table.columns]
    notes = [*([table.note] if table.note else []), *(f"not given: {r}" for r in table.reasons)]
    drawn = io.StringIO()
    print_tables(make_table(table.title, names, rows, max(left, 1)), file=drawn)
    lines = [_wrapped(line) for note in notes for line in note.splitlines()]
    print("\n".join([drawn.getvalue().rstrip("\n"), *lines]) + "\n", file=file)


def _wrapped(line: str) -> str:
    return textwrap.fill(plain(line), WIDTH)


def _rounded(value: Any) -> Any:
    """Plain values for JSON, dataclasses as objects, figures to six places."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: _rounded(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _rounded(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(each) for each in value]
    return round(value, 6) if isinstance(value, float) else value
