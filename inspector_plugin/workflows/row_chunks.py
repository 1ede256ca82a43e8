"""Rows in chunks that any machine can read by itself: where in which file they stand.

Files are JSONL or Parquet, on a local disk or in an object store (whatever pyarrow opens).
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow.parquet as parquet  # type: ignore[import-untyped]
from pyarrow import ArrowException, fs

from inspector_plugin.data.eval_logs import is_sample_log
from inspector_plugin.data.requests import RequestForm, RequestRow
from inspector_plugin.data.stored_scores import JUDGEMENTS
from inspector_plugin.data.tables import plain_value
from inspector_plugin.errors import DataError, OptionError
from inspector_plugin.schema.criteria import Criterion

_FORMS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet"}
_BYTES_AT_ONCE = 2**20
_ROWS_AT_ONCE = 64
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):/+")


def address(path: object) -> str:
    """Write a file's place as pyarrow takes it: a path, or an address such as s3://bucket/file.

    A `pathlib.Path` made of an address has lost a slash, which comes back here.
    """
    text = str(path)
    scheme = _SCHEME.match(text)
    return text if scheme is None else f"{scheme[1]}://{text[scheme.end() :]}"


def opened_filesystem(place: str) -> tuple[fs.FileSystem, str]:
    """The file system of an address, and the path in it.

    Raises:
        DataError: If there is no such file system, or it cannot be reached.
    """
    try:
        if _SCHEME.match(place) is None:
            return fs.LocalFileSystem(), place
        found: tuple[fs.FileSystem, str] = fs.FileSystem.from_uri(place)
    except (ArrowException, OSError, ValueError) as error:
        raise DataError(f"Cannot reach {place}: {_in_one_line(error)}.") from error
    return found


@dataclass(frozen=True)
class Chunk:
    """Rows that follow on each other in one file.

    Attributes:
        place: The file.
        form: "jsonl" or "parquet".
        first: The number of its first row among all rows, from 0.
        rows: How many rows.
        start: Where it begins: the byte; in Parquet the row within the row group.
        end: Where it ends: the byte after it; in Parquet the number of the row group.
        wanted: The places in the chunk of the rows to judge; None for all.
    """

    place: str
    form: str
    first: int
    rows: int
    start: int
    end: int
    wanted: tuple[int, ...] | None = None

    def read(self, form: RequestForm) -> Iterator[tuple[int, RequestRow]]:
        """Read the rows wanted, each with its number among all rows.

        Raises:
            DataError: If the file cannot be read, or has changed.
        """
        system, path = opened_filesystem(self.place)
        wanted = None if self.wanted is None else set(self.wanted)
        count = 0
        try:
            for place, row in enumerate(self._rows(system, path)):
                count += 1
                if wanted is None or place in wanted:
                    number = self.first + place
                    yield number, form.request_row(row, f"{self.place}, row {number + 1}")
        except (ArrowException, OSError, ValueError) as error:
            raise DataError(f"Cannot read {self.place}: {_in_one_line(error)}.") from error
        if count != self.rows:
            raise DataError(f"{self.place} has changed since the run began; start it again.")

    def _rows(self, system: fs.FileSystem, path: str) -> Iterator[dict[str, Any]]:
        with system.open_input_file(path) as file:
            if self.form == "jsonl":
                file.seek(self.start)
                lines = file.read(self.end - self.start).split(b"\n")
                yield from (json.loads(line) for line in lines if line.strip())
                return
            rows = _group_rows(parquet.ParquetFile(file), self.end)
            yield from islice(rows, self.start, self.start + self.rows)


class ChunkedRows:
    """All rows of some files, checked once, in chunks.

    Attributes:
        chunks: The chunks, in order.
        count: How many rows there are.
        asked: How many scores are asked for, by criterion and data set.
        sha256: Hash of the rows read.
    """

    def __init__(
        self, places: Sequence[str], form: RequestForm, per_chunk: int, limit: int | None = None
    ) -> None:
        """Go through all rows once: what is wrong with one is found before any is judged.

        Args:
            places: JSONL and Parquet files, and folders of them.
            form: How rows become requests.
            per_chunk: The most rows in a chunk.
            limit: The most rows to take, from the first.

        Raises:
            DataError: If a file or a row is malformed, or there are no rows.
            OptionError: If a file is of another form.
        """
        self.chunks: list[Chunk] = []
        self.count = 0
        self.asked: Counter[tuple[Criterion, str | None]] = Counter()
        self._form, self._per_chunk, self._limit = form, per_chunk, limit
        self._digest = hashlib.sha256()
        self._counts: Counter[tuple[tuple[Criterion, ...], str | None]] = Counter()
        files = [file for place in places for file in _files(place)]
        for place in files:
            if files.count(place) > 1:
                raise DataError(f"{place} is given twice; give each file once.")
            self._add(place)
        if not self.count:
            raise DataError(f"{', '.join(places)} holds no rows to judge.")
        for (criteria, dataset), count in self._counts.items():
            for criterion in criteria:
                self.asked[criterion, dataset] += count

    @property
    def sha256(self) -> str:
        """Hash of the content of all rows, 64 hexadecimal digits."""
        return self._digest.hexdigest()

    def _add(self, place: str) -> None:
        system, path = opened_filesystem(place)
        form = _FORMS[_suffix(place)]
        try:
            with system.open_input_file(path) as file:
                (self._add_lines if form == "jsonl" else self._add_groups)(place, file)
        except (ArrowException, OSError, UnicodeDecodeError) as error:
            raise DataError(f"Cannot read {place}: {_in_one_line(error)}.") from error

    def _add_lines(self, place: str, file: Any) -> None:
        start = end = rows = 0
        for number, line in enumerate(io.BufferedReader(file, _BYTES_AT_ONCE), start=1):
            if self._is_full(rows):
                break
            end += len(line)
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if number == 1:
                start = len(line) - len(text)
            if not text.strip():
                continue
            self._digest.update(text)
            where = f"{place}, line {number}"
            try:
                row = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{where}: not a JSON object; every line must be one.") from error
            if not isinstance(row, dict):
                raise DataError(f"{where}: not a JSON object; every line must be one.")
            if number == 1 and is_sample_log(row) and JUDGEMENTS not in row:
                raise DataError(f"{place} is a sample log of lm_eval; judge it without --engine.")
            self._check(row, where)
            rows += 1
            if rows == self._per_chunk:
                self._close(Chunk(place, "jsonl", self.count, rows, start, end))
                start, rows = end, 0
        if rows:
            self._close(Chunk(place, "jsonl", self.count, rows, start, end))

    def _add_groups(self, place: str, file: Any) -> None:
        table = parquet.ParquetFile(file)
        for group in range(table.num_row_groups):
            start = rows = 0
            for row in _group_rows(table, group):
                if self._is_full(rows):
                    break
                self._digest.update(json.dumps(row).encode())
                self._check(row, f"{place}, row {self.count + rows + 1}")
                rows += 1
                if rows == self._per_chunk:
                    self._close(Chunk(place, "parquet", self.count, rows, start, group))
                    start, rows = start + rows, 0
            if rows:
                self._close(Chunk(place, "parquet", self.count, rows, start, group))

    def _is_full(self, rows: int) -> bool:
        return self._limit is not None and self.count + rows >= self._limit

    def _check(self, row: Mapping[str, Any], where: str) -> None:
        request = self._form.request_row(row, where).request
        criteria = request.criteria
        if self._form.rubric_field is not None and self._counts:
            criteria = next(iter(self._counts))[0]  # the first rubric stands for all
        self._counts[criteria, request.dataset] += 1

    def _close(self, chunk: Chunk) -> None:
        self.chunks.append(chunk)
        self.count += chunk.rows


def _group_rows(table: Any, group: int) -> Iterator[dict[str, Any]]:
    for batch in table.iter_batches(_ROWS_AT_ONCE, row_groups=[group]):
        for row in batch.to_pylist():
            yield {key: plain_value(row[key]) for key in row}


def _files(place: str) -> list[str]:
    """A file itself; of a folder the JSONL and Parquet files in it, by name."""
    system, path = opened_filesystem(place)
    try:
        if system.get_file_info(path).type != fs.FileType.Directory:
            if _suffix(place) not in _FORMS:
                raise OptionError(
                    f"--engine ray reads JSONL and Parquet files, unpacked, not {place}; convert "
                    "it, or judge it without --engine."
                )
            return [place]
        found = system.get_file_info(fs.FileSelector(path))
    except (ArrowException, OSError) as error:
        raise DataError(f"Cannot read {place}: {_in_one_line(error)}.") from error
    names = sorted(info.base_name for info in found if info.type == fs.FileType.File)
    return [f"{place.rstrip('/')}/{name}" for name in names if _suffix(name) in _FORMS]


def _suffix(place: str) -> str:
    return "." + place.rpartition("/")[2].rpartition(".")[2].lower()


def _in_one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
