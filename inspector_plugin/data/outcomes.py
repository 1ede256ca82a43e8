"""Numbers beside the scores, such as exact_match or is_correct, as columns of a score table."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ABSENT = object()
_TRUTH = {"true": True, "false": False}


@dataclass
class _Values:
    """The values of one outcome: rows and values in the order read."""

    rows: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))


class Outcomes:
    """Collects the outcomes that are asked for while files are read.

    A line of lm_eval's own filters in a sample log has its metrics (exact_match) but no judgement:
    they are those of the response that a judge's line has for the same document, if it is one
    response.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(dict.fromkeys(names))
        self._columns: dict[str, _Values] = {}
        self._refused: dict[str, str] = {}
        self._of_document: dict[tuple[str, str], dict[str, float]] = {}
        self._row_of_document: dict[str, int | None] = {}
        self.found = 0

    def has(self, row: Mapping[str, Any]) -> bool:
        """Whether a row has one of the outcomes."""
        return any(_value(row, name) is not _ABSENT for name in self._names)

    def add_row(self, row: Mapping[str, Any], index: int, where: str) -> None:
        """Take the outcomes of a row."""
        for name in self._names:
            value = _value(row, name)
            if value is not _ABSENT:
                self._add(name, index, value, where)

    def add_log_line(self, line: Mapping[str, Any]) -> None:
        """Take the outcomes of a line of a sample log, whosever it is."""
        for name in self._names:
            metric, _, chosen = name.partition(",")
            value = _value(line, metric)
            if value is _ABSENT or (chosen and chosen != line["filter"]):
                continue
            number = _number(value)
            if number is not None:
                found = self._of_document.setdefault((str(line["doc_id"]), name), {})
                found[str(line["filter"])] = number

    def add_log_row(self, line: Mapping[str, Any], index: int) -> None:
        """Note the row of a judged response in a sample log."""
        document = str(line["doc_id"]) if self._names else ""
        if self._names:
            known = self._row_of_document.setdefault(document, index)
            if known != index:
                self._row_of_document[document] = None  # several responses

    def end_of_file(self, path: Path) -> None:
        """Give the outcomes of a sample log's documents to their responses."""
        filters: dict[str, set[str]] = {}
        for (_, name), by_filter in self._of_document.items():
            filters.setdefault(name, set()).update(by_filter)
        for (document, name), by_filter in self._of_document.items():
            row = self._row_of_document.get(document)
            if row is None:
                continue
            for filter_, value in by_filter.items():
                full = name if "," in name else f"{name},{filter_}"
                self._add(full, row, value, str(path))
                if "," not in name and len(filters[name]) == 1:
                    self._add(name, row, value, str(path))
        for name, found in filters.items():
            if len(found) > 1:
                choices = " or ".join(f"{name},{filter_}" for filter_ in sorted(found))
                self._refused[name] = f"{path} has {name} of several filters; choose {choices}."
        self._of_document.clear()
        self._row_of_document.clear()

    def _add(self, name: str, row: int, value: Any, where: str) -> None:
        if value is None or value == "":  # CSV has no null
            return
        number = _number(value)
        if number is None:
            self._refused.setdefault(
                name,
                f"{where}: {name} must be a number or true/false, not {value!r:.60}.",
            )
            return
        column = self._columns.setdefault(name, _Values())
        column.rows.append(row)
        column.values.append(number)
        self.found += 1

    def arrays(
        self, count: int, slots: Sequence[Sequence[int]]
    ) -> tuple[dict[str, NDArray[np.float64]], dict[str, str]]:
        """Make the columns, NaN where a row has no value.

        Args:
            count: How many rows there are.
            slots: The rows that share question and response; they share an outcome, too.

        Returns:
            The columns by name, and why others cannot be used.
        """
        columns = {}
        for name, column in self._columns.items():
            if name in self._refused:
                continue
            values = np.full(count, np.nan)
            rows = np.array(column.rows, dtype=np.int64)
            values[rows] = column.values
            differing = np.flatnonzero(values[rows] != np.array(column.values))
            if differing.size:
                self._refused[name] = (
                    f"The files give one response different values of {name} "
                    f"({values[rows[differing[0]]]:g} and {column.values[differing[0]]:g})."
                )
                continue
            for slot in slots:
                having = [row for row in slot if not math.isnan(values[row])]
                if having:
                    values[[row for row in slot if math.isnan(values[row])]] = values[having[0]]
            columns[name] = values
        return columns, self._refused


def _value(row: Mapping[str, Any], name: str) -> Any:
    """The value of a field, or of one within fields: a.b; absent is told from null."""
    if name in row:
        return row[name]
    for part in name.split("."):
        if not isinstance(row, Mapping) or part not in row:
            return _ABSENT
        row = row[part]
    return row


def _number(value: Any) -> float | None:
    """A finite number or a truth value as a number, also as the text that CSV makes of it.

    Returns:
        None for anything else.
    """
    if isinstance(value, str):
        value = _TRUTH.get(value.strip().lower(), value)
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, (bool, int, float)):
        number = float(value) if abs(value) < 1e300 else math.inf
        return number if math.isfinite(number) else None
    return None
