"""The rows of a file to be audited: which are taken, and what is wrong with the others.

A file is read twice and never held in memory: once to choose, once to judge.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from inspector_plugin.data.eval_logs import is_sample_log
from inspector_plugin.data.jsonl import file_sha256, read_rows, response_field, text_field
from inspector_plugin.data.sample_logs import SampleLog
from inspector_plugin.data.stored_scores import JUDGEMENTS, RESPONSE_FIELDS
from inspector_plugin.data.tables import InputFile
from inspector_plugin.data.text import is_unicode
from inspector_plugin.errors import DataError

# Bad rows beyond these are counted, but not named.
MOST_NAMED = 10
# Every type of planted error is an edit of its own.
MOST_ERROR_TYPES = 20
UNNAMED_ERROR = "error"


@dataclass(frozen=True)
class AuditRow:
    """A response to be edited.

    Attributes:
        number: Where it stands: its line in a file of lines, or else which row it is, from 1.
        id: What the file calls the problem; None if nothing.
        question: The problem.
        response: The response.
        dataset: The data set that the problem comes from, if known.
        planted: The response with an error planted, in a file of pairs.
        error: The type of that error.
    """

    number: int
    id: str | None
    question: str
    response: str
    dataset: str | None
    planted: str | None = None
    error: str = UNNAMED_ERROR

    @staticmethod
    def of(number: int, row: Mapping[str, Any], where: str, dataset: str | None) -> AuditRow:
        """Read a row of a file.

        Args:
            number: Where it stands, from 1.
            row: It has `question` and `response` (or `prediction`), and perhaps `id`, `dataset`,
                `planted` and `error`.
            where: What messages call the row.
            dataset: The data set of rows that name none.

        Raises:
            DataError: If there is nothing to judge, or a field is malformed.
        """
        response, missing = response_field(row, RESPONSE_FIELDS, where)
        if missing is not None:
            raise DataError(f"{where}: {missing}.")
        texts = {"question": text_field(row, ("question",), where), "response": response}
        if row.get("planted") is not None:
            texts["planted"] = text_field(row, ("planted",), where)
        for name, text in texts.items():
            if not text.strip():
                raise DataError(f"{where}: field {name!r} is empty.")
            if not is_unicode(text):
                raise DataError(f"{where}: field {name!r} is not valid Unicode.")
        named = {name: row[name] for name in ("dataset", "error") if row.get(name) is not None}
        own = {name: text_field(named, (name,), where) for name in named}
        identifier = row.get("id")
        return AuditRow(
            number,
            None if identifier is None else str(identifier),
            texts["question"],
            texts["response"],
            own.get("dataset", dataset),
            texts.get("planted"),
            own.get("error", UNNAMED_ERROR),
        )


class RowSource:
    """A file whose rows are gone through twice: sample logs, JSONL, JSON, CSV and Parquet."""

    def __init__(self, path: Path, dataset: str | None) -> None:
        """Find out what the file is.

        Args:
            path: The file.
            dataset: The data set of rows that name none.

        Raises:
            DataError: If it cannot be read.
        """
        self._file = InputFile(path)
        self._is_lines = self._file.form == "jsonl"
        self._log: SampleLog | None = None
        if self._is_lines:
            _, first = next(read_rows(path, _ignore), (0, {}))
            if is_sample_log(first) and JUDGEMENTS not in first:
                self._log = SampleLog(path, dataset=dataset)
        self._checked = False

    def rows(
        self, on_bad: Callable[[str], None] | None = None
    ) -> Iterator[tuple[int, str, dict[str, Any]]]:
        """Read the rows: their numbers, what messages call them, and themselves.

        Args:
            on_bad: Takes what is wrong with lines that are no rows.
        """
        path = self._file.path
        if self._is_lines and self._log is None:
            for number, row in read_rows(path, on_bad or _ignore):
                yield number, f"{path}, line {number}", row
            return
        if self._log is None:
            rows = self._file.rows()
        else:
            rows = self._log.rows() if self._checked else self._log.check()
        for number, (where, row) in enumerate(rows, start=1):
            yield number, where, row
        self._checked = True


def _ignore(message: str) -> None:
    """A line that is no row was counted when the file was read first."""


@dataclass
class Survey:
    """Which rows of a file are audited.

    Attributes:
        path: The file.
        sha256: Hash of its content.
        dataset: The data set of rows that name none.
        source: Its rows.
        numbers: The numbers of the rows taken, ascending.
        bad: Number of rows that cannot be used.
        named: What is wrong with the first of these.
        repeated: Number of rows that say the same as an earlier one, and are left out.
        other_errors: Number of rows left out because another type of error, or none, is planted.
        not_drawn: Number of good rows left out by the limit.
        datasets: The data sets of the good rows.
        errors: How often each type of error is planted among them.
    """

    path: Path
    sha256: str
    dataset: str | None
    source: RowSource
    numbers: list[int] = field(default_factory=list)
    bad: int = 0
    named: list[str] = field(default_factory=list)
    repeated: int = 0
    other_errors: int = 0
    not_drawn: int = 0
    datasets: dict[str | None, None] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)

    def report_bad(self, message: str) -> None:
        """Count a row that cannot be used, and name it if it is among the first."""
        self.bad += 1
        if len(self.named) < MOST_NAMED:
            self.named.append(message[:300])

    def rows(self) -> Iterator[AuditRow]:
        """Read the rows taken, in the order of the file.

        Raises:
            DataError: If the file is not what it was when it was surveyed.
        """
        wanted = iter(self.numbers)
        following = next(wanted, None)
        for number, where, row in self.source.rows():
            if number == following:
                yield AuditRow.of(number, row, where, self.dataset)
                following = next(wanted, None)
        if following is not None:
            raise DataError(f"{self.path} was changed while it was audited; audit it again.")


def survey(
    path: Path,
    *,
    dataset: str | None = None,
    errors: Collection[str] | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> Survey:
    """Read a file once and choose the rows to audit.

    Args:
        path: The file: JSONL, JSON, CSV or Parquet, or a sample log of lm_eval.
        dataset: The data set of rows that name none.
        errors: Only rows with errors of these types planted; all rows if None.
        limit: The most rows to take, drawn without replacement; a larger draw holds any smaller
            one. All if None.
        seed: Seed of the draw.

    Raises:
        DataError: If the file cannot be read, or holds no row that can be used.
    """
    found = Survey(path, file_sha256(path), dataset, RowSource(path, dataset))
    seen: set[bytes] = set()
    random = Random(seed)
    drawn: list[tuple[float, int]] = []  # a heap of the lowest lots, the highest of them on top
    for number, where, raw in found.source.rows(found.report_bad):
        try:
            row = AuditRow.of(number, raw, where, dataset)
        except DataError as error:
            found.report_bad(str(error))
            continue
        if errors is not None and (row.planted is None or row.error not in errors):
            found.other_errors += 1
            continue
        mark = _mark(row)
        if mark in seen:
            found.repeated += 1
            continue
        seen.add(mark)
        found.datasets[row.dataset] = None
        if row.planted is not None:
            found.errors[row.error] += 1
        lot = (-random.random(), number)
        if limit is None or len(drawn) < limit:
            heapq.heappush(drawn, lot)
        else:
            heapq.heappushpop(drawn, lot)
            found.not_drawn += 1
    found.numbers = sorted(number for _, number in drawn)
    _require_usable(found, errors)
    return found


def _mark(row: AuditRow) -> bytes:
    texts = "\x00".join((row.question, row.response, row.planted or ""))
    return hashlib.blake2b(texts.encode(), digest_size=16).digest()


def _require_usable(found: Survey, errors: Collection[str] | None) -> None:
    if not found.numbers:
        why = f" {found.named[0]}" if found.named else ""
        if errors is not None and found.other_errors:
            why = f" None of its {found.other_errors} rows has such an error planted."
        raise DataError(f"{found.path} holds no rows to audit ({found.bad} cannot be used).{why}")
    if len(found.errors) > MOST_ERROR_TYPES:
        raise DataError(
            f"{found.path} names {len(found.errors)} types of errors; an audit takes "
            f"{MOST_ERROR_TYPES} at most: choose some with --errors."
        )
