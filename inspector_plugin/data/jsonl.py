"""Reading rows from JSONL files, plain or gzipped, with errors that name the line."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonlines

from inspector_plugin.data.files import require_ordinary
from inspector_plugin.errors import DataError


def read_rows(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read the objects of a JSONL file, one by one.

    Args:
        path: A .jsonl file, or a .jsonl.gz file.

    Yields:
        The number of the line, from 1, and the object that stands there. Blank lines are left
        out.

    Raises:
        DataError: If the file cannot be read, or a line is not a JSON object.
    """
    path = Path(path)
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        require_ordinary(path)
        with opener(path, "rt", encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, _parse(line, f"{path}, line {number}")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise DataError(f"Cannot read {path}: {error}.") from error


def _parse(line: str, where: str) -> dict[str, Any]:
    try:
        row: dict[str, Any] = jsonlines.Reader([line], loads=json.loads).read(type=dict)
    # JSON nested too deeply for the parser ends in a RecursionError.
    except (jsonlines.InvalidLineError, RecursionError) as error:
        raise DataError(f"{where}: not a JSON object; every line must be one.") from error
    return row


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal.

    Raises:
        DataError: If the file cannot be read.
    """
    try:
        require_ordinary(Path(path))
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error}.") from error


def text_field(row: Mapping[str, Any], names: tuple[str, ...], where: str) -> str:
    """Return the text of the first of several fields that a row has.

    Args:
        row: The row.
        names: The field's name and its aliases.
        where: Where the row stands, for the error message, such as "answers.jsonl, line 3".

    Raises:
        DataError: If the row has none of the fields, or its value is not text.
    """
    for name in names:
        if name in row:
            value = row[name]
            if not isinstance(value, str):
                kind = type(value).__name__
                raise DataError(f"{where}: field {name!r} must be text, not {kind}.")
            return value
    wanted = " or ".join(repr(name) for name in names)
    raise DataError(f"{where}: field {wanted} is missing; it has {sorted(row)}.")


def response_field(
    row: Mapping[str, Any], names: tuple[str, ...], where: str
) -> tuple[str, str | None]:
    """Return a row's response, which may lack what can be judged.

    A list of one text, as some tools write, is read as its text.

    Args:
        row: The row.
        names: The field's name and its aliases.
        where: Where the row stands, for the error message.

    Returns:
        The response, and why there is none to judge: then it is empty.

    Raises:
        DataError: If the row has none of the fields.
    """
    found = [name for name in names if name in row]
    value = row[found[0]] if found else text_field(row, names, where)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str):
        return value, None
    if value is None:
        return "", "the response is missing (null)"
    return "", f"the response is not text but of type {type(value).__name__}"
