"""The files of a source of scores, and their lines."""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from inspector_plugin.data.files import require_ordinary, why_no_text
from inspector_plugin.data.score_table import Source
from inspector_plugin.errors import DataError


def files_of(source: Source) -> list[Source]:
    """The files of a source: itself, or the newest log of each task in a folder of results.

    Raises:
        DataError: If the folder holds no log.
    """
    if not source.path.is_dir():
        return [source]
    logs: dict[tuple[Path, str], Path] = {}
    for path in sorted(source.path.rglob("samples_*.jsonl")):
        task = path.stem.rpartition("_")[0]  # samples_<task>_<date>; dates sort as texts
        logs[path.parent, task] = path
    if not logs:
        raise DataError(f"{source.path} holds no samples_*.jsonl; run lm_eval with --log_samples.")
    return [replace(source, path=path) for path in logs.values()]


def numbered_lines(path: Path) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Read the objects of a JSONL file, with the number of the line and the byte it begins at.

    Raises:
        DataError: If the file cannot be read, is cut off, or a line is not a JSON object.
    """
    try:
        require_ordinary(path)
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            offset = 0
            for number, line in enumerate(file, start=1):
                if not line.isspace():
                    try:
                        row = _parse(line, f"{path}, line {number}")
                    except DataError:
                        _require_text(path)
                        raise
                    yield number, offset, row
                offset += len(line)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"Cannot read {path}: {error}.") from error


def _require_text(path: Path) -> None:
    reason = None if path.suffix == ".gz" else why_no_text(path)
    if reason is not None:
        raise DataError(f"Cannot read {path}: {reason}.")


def _parse(line: bytes, where: str) -> dict[str, Any]:
    try:
        # Decoded here, since json.loads would first find out by itself which encoding it is.
        row = json.loads(line.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:  # nested too deeply for the parser
        if not line.endswith(b"\n"):
            raise DataError(
                f"{where}: the file ends in the middle of this line; finish the run that writes "
                "it, or remove the line."
            ) from error
        raise DataError(f"{where}: not a JSON object; every line must be one.") from error
    if not isinstance(row, dict):
        raise DataError(f"{where}: not a JSON object; every line must be one.")
    return row
