"""Reading rows from JSONL files, plain or gzipped, with errors that name the line."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from inspector_plugin.data.conversations import (
    NO_REPLY,
    is_conversation,
    question_of,
    reply_of,
)
from inspector_plugin.data.files import require_ordinary, why_no_text
from inspector_plugin.errors import DataError

_BYTES_AT_ONCE = 2**20


def read_rows(
    path: str | Path, on_bad: Callable[[str], None] | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read the objects of a JSONL file, one by one.

    Args:
        path: A .jsonl file, or a .jsonl.gz file.
        on_bad: Takes what is wrong with a line that is not a JSON object, which is then left out.

    Yields:
        The number of the line, from 1, and the object that stands there. Blank lines are left
        out.

    Raises:
        DataError: If the file cannot be read, or a line is not a JSON object and nothing takes it.
    """
    for number, _, row in placed_rows(path, on_bad):
        yield number, row


def placed_rows(
    path: str | Path, on_bad: Callable[[str], None] | None = None
) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Read as `read_rows` does; say of each line, too, where it begins.

    Yields:
        The number of the line, its first byte in the unpacked file, and the object.
    """
    path = Path(path)
    opener = gzip.open if path.suffix == ".gz" else open
    offset = 0
    try:
        require_ordinary(path)
        with opener(path, "rb") as file:
            for number, raw in enumerate(file, start=1):
                line = _text(raw, path, number)
                if line and not line.isspace():
                    try:
                        row = _parse(line, f"{path}, line {number}")
                    except DataError as error:
                        if on_bad is None:
                            raise
                        on_bad(str(error))
                    else:
                        yield number, offset, row
                offset += len(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"Cannot read {path}: {error}.") from error


def _text(line: bytes, path: Path, number: int) -> str:
    try:
        # An unpaired surrogate may come as bytes as it may come as an escape: its row is unscored.
        return line.decode("utf-8-sig" if number == 1 else "utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        reason = f"line {number} is not UTF-8 ({error.reason}); save it as UTF-8"
        raise DataError(f"Cannot read {path}: {why_no_text(path) or reason}.") from error


def _parse(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    # JSON nested too deeply for the parser ends in a RecursionError.
    except (ValueError, RecursionError) as error:
        if not line.endswith("\n"):
            raise DataError(
                f"{where}: not a JSON object: the file ends in the middle of this line; finish "
                "the run that writes it, or remove the line."
            ) from error
        raise DataError(f"{where}: not a JSON object; every line must be one.") from error
    if not isinstance(row, dict):
        raise DataError(f"{where}: not a JSON object; every line must be one.")
    return row


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal.

    Raises:
        DataError: If the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        require_ordinary(Path(path))
        with open(path, "rb") as file:
            while block := file.read(_BYTES_AT_ONCE):
                digest.update(block)
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error}.") from error
    return digest.hexdigest()


def text_field(row: Mapping[str, Any], names: tuple[str, ...], where: str) -> str:
    """Return the text of the first of several fields that a row has.

    A list of one text is read as its text, and a conversation as what is asked in it.

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
            if isinstance(value, str):
                return value
            text = _asked(value)
            if text is None:
                kind = type(value).__name__
                raise DataError(f"{where}: field {name!r} must be text, not {kind}.")
            return text
    wanted = " or ".join(repr(name) for name in names)
    raise DataError(f"{where}: field {wanted} is missing; it has {sorted(map(str, row))}.")


def response_field(
    row: Mapping[str, Any], names: tuple[str, ...], where: str
) -> tuple[str, str | None]:
    """Return a row's response, which may lack what can be judged.

    A list of one text, as some tools write, is read as its text; a conversation as the
    assistant's last reply.

    Args:
        row: The row.
        names: The field's name and its aliases.
        where: Where the row stands, for the error message.

    Returns:
        The response, and why there is none to judge: then it is empty.

    Raises:
        DataError: If the row has none of the fields.
    """
    for name in names:
        if name in row:
            return _replied(row[name])
    return text_field(row, names, where), None


def _asked(value: Any) -> str | None:
    if is_conversation(value):
        return question_of(value)
    is_one_text = isinstance(value, list) and len(value) == 1 and isinstance(value[0], str)
    return value[0] if is_one_text else None


def _replied(value: Any) -> tuple[str, str | None]:
    if isinstance(value, str):
        return value, None
    if is_conversation(value):
        reply = reply_of(value)
        return ("", NO_REPLY) if reply is None else (reply, None)
    if isinstance(value, list) and len(value) == 1 and not isinstance(value[0], list):
        return _replied(value[0])
    if value is None:
        return "", "the response is missing (null)"
    return "", f"the response is not text but of type {type(value).__name__}"
