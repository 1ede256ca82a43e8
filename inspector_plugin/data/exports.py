"""Judged responses as tables: CSV and Parquet, a row for each response or for each score."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from inspector_plugin.data.jsonl import read_rows
from inspector_plugin.data.stored_scores import JUDGEMENTS, judgements_of, rows_of
from inspector_plugin.data.text import is_unicode
from inspector_plugin.errors import DataError
from inspector_plugin.schema.records import CriterionScore, Judgement

WIDE, LONG = "wide", "long"
_ROWS_AT_ONCE = 512
_WHOLE = "whole"  # fits 64 bits
# A spreadsheet takes a text that begins so for a formula, which may do harm.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_ORIGIN = ("id", "task", "dataset", "model")

Judged = tuple[Mapping[str, Any], Mapping[str, Judgement]]
TableRow = dict[str, Any]


@dataclass
class Columns:
    """The columns of a table, found by going through its rows once.

    Attributes:
        kinds: For each column the kinds of values it has: bool, whole, float, str or other.
    """

    kinds: dict[str, set[str]] = field(default_factory=dict)

    def add(self, row: TableRow) -> None:
        """Note the columns of a row."""
        for name, value in row.items():
            self.kinds.setdefault(name, set())
            if value is not None:
                self.kinds[name].add(_kind(value))

    def type_of(self, name: str) -> str:
        """The one type that all values of a column can have."""
        kinds = self.kinds[name]
        if kinds in ({"bool"}, {_WHOLE}):
            return next(iter(kinds))
        return "float" if kinds and kinds <= {_WHOLE, "float"} else "str"


def judged_rows_of(path: Path) -> Iterator[Judged]:
    """Read the rows of a judgement file, or of a sample log of our tasks, with their judgements.

    Raises:
        DataError: If the file is malformed, or a row has no judgements.
    """
    found = False
    for number, line in read_rows(path):
        where = f"{path}, line {number}"
        for row in rows_of(line, where):
            if JUDGEMENTS not in row:
                raise DataError(
                    f"{where}: there are no judgements; `inspector score` writes files that have "
                    "them."
                )
            found = True
            yield row, judgements_of(row, where)
    if not found:
        raise DataError(f"{path} holds no judged responses.")


def table_rows(path: Path, layout: str) -> Iterator[TableRow]:
    """Read a judgement file as rows of a table.

    Wide rows have the row's own fields, and for each judge and criterion the columns
    `JUDGE.CRITERION` (the score) and `JUDGE.CRITERION.label`, `.confidence`, `.reason`, `.flags`
    and `.explanation`, and `JUDGE.total`. Long rows have `row` (the number of the response, from
    1), `id`, `task`, `dataset`, `model`, `judge`, `criterion`, `score`, `label`, `scale_minimum`,
    `scale_maximum`, `confidence`, `reason`, `flags`, `explanation` and `fingerprint`.

    Args:
        path: The file.
        layout: "wide" or "long".

    Raises:
        DataError: If the file is malformed, or a field has the name of a column of scores.
    """
    make = _wide if layout == WIDE else _long
    for number, (row, judgements) in enumerate(judged_rows_of(path), start=1):
        yield from make(number, row, judgements)


def write_csv(path: Path, layout: str, out: Path, *, safe: bool = False) -> int:
    """Write a judgement file as CSV, in UTF-8.

    Args:
        path: The judgement file.
        layout: "wide" or "long".
        out: The file to write.
        safe: Whether to put an apostrophe before texts that a spreadsheet would run.

    Returns:
        How many texts held what UTF-8 cannot (unpaired surrogates), written as U+FFFD.
    """
    columns = _columns(path, layout)
    cells = _Cells(safe)
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns.kinds)
        for row in table_rows(path, layout):
            writer.writerow([cells.csv(row.get(name)) for name in columns.kinds])
    return cells.replaced


def write_parquet(path: Path, layout: str, out: Path) -> int:
    """Write a judgement file as Parquet.

    Columns with values of several types, and lists and objects, are written as text.

    Args:
        path: The judgement file.
        layout: "wide" or "long".
        out: The file to write.

    Returns:
        How many texts held what UTF-8 cannot (unpaired surrogates), written as U+FFFD.
    """
    import pyarrow  # type: ignore[import-untyped]
    import pyarrow.parquet  # type: ignore[import-untyped]

    columns = _columns(path, layout)
    types = {
        "bool": pyarrow.bool_(),
        _WHOLE: pyarrow.int64(),
        "float": pyarrow.float64(),
        "str": pyarrow.string(),
    }
    kinds = {name: columns.type_of(name) for name in columns.kinds}
    schema = pyarrow.schema([(name, types[kind]) for name, kind in kinds.items()])
    cells = _Cells()
    convert: Mapping[str, Callable[[Any], Any]] = {
        "bool": bool,
        _WHOLE: int,
        "float": float,
        "str": cells.text,
    }
    rows = table_rows(path, layout)
    with pyarrow.parquet.ParquetWriter(out, schema) as writer:
        while some := list(islice(rows, _ROWS_AT_ONCE)):
            arrays = {
                name: [None if row.get(name) is None else convert[kind](row[name]) for row in some]
                for name, kind in kinds.items()
            }
            writer.write_table(pyarrow.table(arrays, schema=schema))
    return cells.replaced


class _Cells:
    """Writes values as texts."""

    def __init__(self, safe: bool = False) -> None:
        self._safe = safe
        self.replaced = 0

    def csv(self, value: Any) -> Any:
        if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
            return value
        text = self.text(value)
        is_formula = self._safe and isinstance(value, str) and text.startswith(_FORMULA)
        return f"'{text}" if is_formula else text

    def text(self, value: Any) -> str:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if is_unicode(text):
            return text
        self.replaced += 1
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _columns(path: Path, layout: str) -> Columns:
    columns = Columns()
    for row in table_rows(path, layout):
        columns.add(row)
    return columns


def _wide(
    number: int, row: Mapping[str, Any], judgements: Mapping[str, Judgement]
) -> Iterator[TableRow]:
    made = {str(name): value for name, value in row.items() if name != JUDGEMENTS}
    scores: TableRow = {}
    for judge, judgement in judgements.items():
        for key, score in judgement.scores.items():
            parts = {
                "": score.score,
                ".label": score.label,
                ".confidence": _confidence(score),
                ".reason": score.reason,
                ".flags": ", ".join(score.flags) or None,
                ".explanation": score.explanation,
            }
            scores |= {f"{judge}.{key}{part}": value for part, value in parts.items()}
        scores[f"{judge}.total"] = judgement.total
    taken = made.keys() & scores.keys()
    if taken:
        raise DataError(
            f"Row {number} has a field {min(taken)!r}, as a column of scores is called; rename it, "
            "or take --layout long."
        )
    yield made | scores


def _long(
    number: int, row: Mapping[str, Any], judgements: Mapping[str, Judgement]
) -> Iterator[TableRow]:
    origin = {name: row.get(name) for name in _ORIGIN}
    for judge, judgement in judgements.items():
        for key, score in judgement.scores.items():
            yield {
                "row": number,
                **origin,
                "judge": judge,
                "criterion": key,
                "score": score.score,
                "label": score.label,
                "scale_minimum": None if score.scale is None else score.scale.minimum,
                "scale_maximum": None if score.scale is None else score.scale.maximum,
                "confidence": _confidence(score),
                "reason": score.reason,
                "flags": ", ".join(score.flags) or None,
                "explanation": score.explanation,
                "fingerprint": score.fingerprint,
            }


def _confidence(score: CriterionScore) -> float | None:
    """Probability of the label."""
    if score.label is None or score.probabilities is None:
        return None
    return score.probabilities.get(score.label)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return _WHOLE if -(2**63) <= value < 2**63 else "other"
    if isinstance(value, float):
        return "float"
    return "str" if isinstance(value, str) else "other"
