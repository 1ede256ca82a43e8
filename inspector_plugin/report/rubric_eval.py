"""Tables of an evaluation of rubrics."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table as TerminalTable

from inspector_plugin.data.labelled import POOLED_GROUPS, SCORES
from inspector_plugin.report.document import (
    Cell,
    Column,
    Document,
    Missing,
    Section,
    Table,
    written,
)
from inspector_plugin.report.tables import make_table
from inspector_plugin.rubrics.evaluate import ALL, FileResult, GroupResult
from inspector_plugin.rubrics.evaluated_figures import Statistic

_CORRELATION = ", correlation with scores"
_NOTE = (
    "Intervals: 95%, by problem. Accuracy: the response that people prefer scores higher; equal "
    "scores count 1/2. Stuffed wins: the worse response with the rubric's words added scores above "
    "the better one."
)


def evaluation_document(
    results: Sequence[FileResult], facts: Sequence[tuple[str, str]], title: str
) -> Document:
    """Write an evaluation as a report: a section for each file, a table for each of its parts.

    Args:
        results: The results of the files.
        facts: What there is to know first, such as the judge.
        title: The heading.
    """
    sections = []
    for result in results:
        groups = list(dict.fromkeys(each.group for each in result.results))
        tables = [table for group in groups for table in _tables(result, group)]
        sections.append(
            Section(result.file.name, result.file.name, " ".join(_remarks(result)), tables)
        )
    return Document(title, facts, sections)


def terminal_tables(document: Document, every_part: bool) -> list[TerminalTable]:
    """Write the tables for a terminal.

    Args:
        document: The report.
        every_part: Whether to show the parts of which a pooled one is made, too.
    """
    made: list[TerminalTable] = []
    for section in document.sections:
        titles = {table.title for table in section.tables}
        hidden = {
            _title(section.key, member) + ending
            for ending in ("", _CORRELATION)
            for pooled, members in POOLED_GROUPS.items()
            if _title(section.key, pooled) in titles and not every_part
            for member in members
        }
        for table in section.tables:
            if table.title not in hidden:
                rows = [
                    [
                        "-" if isinstance(cell, Missing) else written(cell, column.form)
                        for cell, column in zip(row, table.columns, strict=True)
                    ]
                    for row in table.rows
                ]
                heads = [column.name for column in table.columns]
                notes = [f"-: {reason}" for reason in table.reasons]
                made.append(make_table(table.title, heads, rows, note="\n".join(notes) or None))
    return made


def remarks(results: Sequence[FileResult]) -> list[str]:
    """What there is to say below the tables: what figures mean, what is missing and why."""
    return [_NOTE, *dict.fromkeys(each for result in results for each in _remarks(result))]


def _remarks(result: FileResult) -> list[str]:
    missing = [
        f"{condition}: {count} scores are missing: {reason}"
        for condition, reasons in result.reasons.items()
        for reason, count in reasons.most_common()
    ]
    return [*result.notes, *missing]


def _title(name: str, group: str) -> str:
    return name if group == ALL else f"{name}: {group}"


def _tables(result: FileResult, group: str) -> list[Table]:
    """Write what was found on a part of a file: correlations, where there are scores, and pairs."""
    rows = [each for each in result.results if each.group == group]
    title = _title(result.file.name, group)
    tables = []
    if result.file.kind == SCORES:
        columns = [Column("judged by"), Column("responses"), Column("Spearman", "share")]
        cells: list[list[Cell]] = [
            [each.condition, _count(each.correlation), _figure(each.correlation)]
            for each in rows
            if each.correlation is not None
        ]
        tables.append(Table(title + _CORRELATION, columns, cells, _NOTE))
    has_exploit = any(each.exploit is not None for each in rows)
    columns = [
        Column("judged by"),
        Column("pairs"),
        Column("accuracy", "share"),
        Column("ties", "share"),
        *([Column("stuffed wins", "share")] if has_exploit else []),
    ]
    cells = [_pair_cells(each)[: len(columns)] for each in rows]
    return [*tables, Table(title, columns, cells, _NOTE)]


def _pair_cells(row: GroupResult) -> list[Cell]:
    return [
        row.condition,
        _count(row.accuracy),
        _figure(row.accuracy),
        row.ties,
        None if row.exploit is None else _figure(row.exploit),
    ]


def _count(statistic: Statistic) -> str:
    """How many were judged, of how many."""
    if statistic.count == statistic.asked:
        return str(statistic.count)
    return f"{statistic.count}/{statistic.asked}"


def _figure(statistic: Statistic) -> Cell:
    if statistic.value is None:
        return Missing(statistic.reason or "not defined")
    return statistic.value
