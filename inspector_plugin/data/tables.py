"""Rows out of files of any common form, one at a time: JSONL, JSON, CSV, TSV and Parquet.

Files are told apart by their names, and those without a telling name (what comes from standard
input, say) by how they begin. Nothing is held but the row at hand, and a batch of rows of Parquet.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import math
import sys
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from inspector_plugin.data.files import require_ordinary, why_no_text
from inspector_plugin.data.jsonl import read_rows
from inspector_plugin.errors import DataError, shown

_SUFFIXES = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_PARQUET_MARK = b"PAR1"
_PARQUET_ROWS = 64
_CHARACTERS = 2**16
# A single row that is longer than this is no row.
_MOST_CHARACTERS = 2**28
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class InputFile:
    """A file of rows.

    Attributes:
        path: The file.
        name: What messages call it; its path unless it is something else, such as standard input.
        encoding: The encoding of a CSV file; None for UTF-8, or what its first bytes say.
    """

    path: Path
    name: str = ""
    encoding: str | None = None

    def __str__(self) -> str:
        return self.name or str(self.path)

    @property
    def form(self) -> str:
        """Its form: jsonl, json, csv or parquet.

        Raises:
            DataError: If it cannot be read.
        """
        name = self.path.name.removesuffix(".gz")
        known = _SUFFIXES.get(Path(name).suffix.lower())
        return known or _form_by_content(self)

    def rows(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Read the rows, one by one.

        Yields:
            Where the row stands, for messages, and the row.

        Raises:
            DataError: If the file cannot be read, or a row is malformed.
        """
        form = self.form
        if form == "jsonl":
            for number, row in read_rows(self.path):
                yield f"{self}, line {number}", row
            return
        readers = {"json": _json_rows, "csv": _csv_rows, "parquet": _parquet_rows}
        yield from readers[form](self)


def _form_by_content(file: InputFile) -> str:
    with _opened(file) as content:
        start = content.read(4096)
    if start.startswith(_PARQUET_MARK):
        return "parquet"
    text = start.removeprefix(codecs.BOM_UTF8).lstrip()
    if text[:1] == b"[":
        return "json"
    return "jsonl" if text[:1] in (b"{", b"") else "csv"


@contextmanager
def _opened(file: InputFile) -> Iterator[IO[bytes]]:
    """Open a file, unpacked; turn what goes wrong in reading it into a `DataError`."""
    try:
        require_ordinary(file.path)
        opener: Any = gzip.open if file.path.suffix == ".gz" else open
        with opener(file.path, "rb") as content:
            yield content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"Cannot read {file}: {error}.") from error


# --- JSON ----------------------------------------------------------------------------------------


def _json_rows(file: InputFile) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read the objects of a JSON list, or objects one after the other."""
    with _opened(file) as content:
        for number, row in enumerate(_json_values(content, file), start=1):
            where = f"{file}, row {number}"
            if not isinstance(row, dict):
                raise DataError(f"{where}: not a JSON object; write a list of objects.")
            yield where, row


def _json_values(content: IO[bytes], file: InputFile) -> Iterator[Any]:
    source = _Characters(content, file)
    source.skip()
    is_list = source.text.startswith("[")
    if is_list:
        source.drop(1)
    count = 0
    while True:
        source.skip()
        if is_list and source.text.startswith("]"):
            source.drop(1)
            source.skip()
            if source.text:
                raise DataError(f"{file}: there is more after the end of its list.")
            return
        if count and is_list:
            if not source.text.startswith(","):
                raise _malformed_json(file, count + 1, source)
            source.drop(1)
            source.skip()
        if not source.text:
            if is_list:
                raise _malformed_json(file, count + 1, source)
            return
        count += 1
        yield source.value(count)


class _Characters:
    """The text of a file that has been read and not been dealt with yet."""

    def __init__(self, content: IO[bytes], file: InputFile) -> None:
        self._content, self._file = content, file
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._json = json.JSONDecoder()
        self.text = ""
        self.at_end = False

    def more(self, characters: int = _CHARACTERS) -> None:
        block = self._content.read(characters)
        self.at_end = not block
        try:
            self.text += self._decoder.decode(block, final=self.at_end)
        except UnicodeDecodeError as error:
            reason = f"it is not UTF-8 ({error.reason}); save it as UTF-8"
            reason = why_no_text(self._file.path) or reason
            raise DataError(f"Cannot read {self._file}: {reason}.") from error

    def skip(self) -> None:
        """Drop white space, and read on if nothing is left."""
        self.text = self.text.lstrip(" \t\r\n")
        while not self.text and not self.at_end:
            self.more()
            self.text = self.text.lstrip(" \t\r\n")

    def drop(self, characters: int) -> None:
        self.text = self.text[characters:]

    def value(self, number: int) -> Any:
        """Take the next value out, reading on until it is complete."""
        while True:
            try:
                value, end = self._json.raw_decode(self.text)
            except (ValueError, RecursionError) as error:
                is_hopeless = isinstance(error, RecursionError) or self._is_wrong(error)
                if is_hopeless or self.at_end or len(self.text) > _MOST_CHARACTERS:
                    raise _malformed_json(self._file, number, self) from error
                self.more(max(_CHARACTERS, len(self.text)))  # twice as much each time
            else:
                self.drop(end)
                return value

    def _is_wrong(self, error: ValueError) -> bool:
        """Whether the fault is in what is there, and not that the text ends."""
        place = getattr(error, "pos", len(self.text))
        is_open_text = "Unterminated string" in str(error)
        return not is_open_text and place < len(self.text) - 64


def _malformed_json(file: InputFile, number: int, source: _Characters) -> DataError:
    if source.at_end and not source.text.strip():
        return DataError(f"{file}: it ends in the middle of its list, after row {number - 1}.")
    return DataError(
        f"{file}, row {number}: not JSON; write a list of objects, or an object on each line."
    )


# --- CSV -----------------------------------------------------------------------------------------


def _csv_rows(file: InputFile) -> Iterator[tuple[str, dict[str, Any]]]:
    csv.field_size_limit(sys.maxsize)
    number = 0
    with _opened(file) as content:
        encoding = file.encoding or _encoding_of(content)
        content.seek(0)
        try:
            text = io.TextIOWrapper(content, encoding, newline="")
        except (LookupError, ValueError) as error:
            raise DataError(f"--encoding: {encoding!r} is not an encoding.") from error
        try:
            delimiter = _delimiter(file, text.readline())
            text.seek(0)
            rows = csv.reader(text, delimiter=delimiter, strict=True)
            header = _header(next(rows, None), file)
            for number, values in enumerate(rows, start=1):
                if not values:
                    continue  # a blank line
                where = f"{file}, row {number}"
                if len(values) != len(header):
                    raise DataError(
                        f"{where}: it has {len(values)} columns, the first line {len(header)} "
                        f"({', '.join(header)[:200]}); put texts with commas in quotes."
                    )
                yield where, dict(zip(header, values, strict=True))
        except UnicodeError as error:
            packed = why_no_text(file.path)
            if packed is not None and file.encoding is None:
                raise DataError(f"Cannot read {file}: {packed}.") from error
            raise DataError(
                f"{file}: there is text after row {number} that is not "
                f"{encoding.removesuffix('-sig')} ({getattr(error, 'reason', error)}); say what "
                "it is with --encoding, as in --encoding latin-1."
            ) from error
        except csv.Error as error:
            raise DataError(f"{file}, row {number + 1}: not CSV ({error}).") from error
        finally:
            text.detach()


def _encoding_of(content: IO[bytes]) -> str:
    return "utf-16" if content.read(2) in _UTF_16 else "utf-8-sig"


def _delimiter(file: InputFile, first: str) -> str:
    """Find out what stands between the names of the columns."""
    if Path(file.path.name.removesuffix(".gz")).suffix.lower() == ".tsv":
        return "\t"
    return max(_DELIMITERS, key=first.count)


def _header(names: list[str] | None, file: InputFile) -> list[str]:
    if names is None:
        return []
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{file}: two columns are called {twice!r}; rename one of them.")
    return names


# --- Parquet -------------------------------------------------------------------------------------


def _parquet_rows(file: InputFile) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow  # type: ignore[import-untyped]
    import pyarrow.parquet  # type: ignore[import-untyped]

    with _opened(file) as content:
        try:
            table = pyarrow.parquet.ParquetFile(content)
            number = 0
            for batch in table.iter_batches(_PARQUET_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{file}, row {number}", {key: plain_value(row[key]) for key in row}
        except (pyarrow.ArrowException, UnicodeDecodeError) as error:
            raise DataError(
                f"Cannot read {file}: it is not Parquet ({shown(error, 200)})."
            ) from error


def plain_value(value: Any) -> Any:
    """Return a value as JSON can hold it: what it cannot is written as text, NaN as null."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain_value(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_value(inner) for inner in value]
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    return str(value)  # dates, decimals
