"""Folders of judged rows as Parquet: what is finished in them, and reading them back in order.

A file holds the rows of one chunk: `number` (of the row among all rows, from 0), `line` (the line
of a judgement file), `transient` (whether judging it again may give more), and a column of scores
for each judge and criterion. `run.json` beside them says what made them.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow  # type: ignore[import-untyped]
import pyarrow.parquet as parquet  # type: ignore[import-untyped]
from numpy.typing import NDArray
from pyarrow import fs

from inspector_plugin.errors import DataError
from inspector_plugin.schema.records import Judgement
from inspector_plugin.workflows.row_chunks import opened_filesystem

_RUN = "run.json"
_REMEDY = "pass --overwrite to begin anew, or another --out"


@dataclass(frozen=True)
class _Part:
    """A file of judged rows; where its numbers begin and end."""

    path: str
    first: int
    last: int


class JudgedFolder:
    """A folder that a run writes its judged rows to, on a local disk or in an object store."""

    def __init__(self, place: str) -> None:
        """Name it.

        Args:
            place: A path, or an address such as s3://bucket/folder.
        """
        self.place = place.rstrip("/")
        self._system, self._path = opened_filesystem(self.place)

    def prepare(self, made_by: Mapping[str, Any], overwrite: bool) -> NDArray[np.int64]:
        """Make the folder ready for a run, and say which rows an earlier one has finished.

        A file whose writing was interrupted is removed, and so are rows that were unscored for a
        transient reason: those are judged again.

        Args:
            made_by: What decides the content of the rows, as values that JSON can hold.
            overwrite: Whether to begin anew.

        Returns:
            The numbers of the finished rows, in order.

        Raises:
            DataError: If the folder cannot be written, or comes from another run.
        """
        try:
            self._system.create_dir(self._path, recursive=True)
            if overwrite:
                for path in self._parts():
                    self._system.delete_file(path)
            elif self._parts():
                self._require_same(made_by)
            with self._system.open_output_stream(f"{self._path}/{_RUN}") as file:
                file.write((json.dumps(made_by, indent=2) + "\n").encode())
            numbers = [self._finished_in(path) for path in self._parts()]
        except (OSError, pyarrow.ArrowException) as error:
            raise DataError(f"Cannot write {self.place}: {error}.") from error
        together = np.sort(np.concatenate([np.empty(0, np.int64), *numbers]))
        _require_once(together, self.place)
        return together

    def lines(self, count: int) -> Iterator[dict[str, Any]]:
        """Read all rows back, in the order of the input, each with its judgements.

        Args:
            count: How many there must be.

        Raises:
            DataError: If a row is missing or there twice.
        """
        parts = sorted(map(self._part, self._parts()), key=lambda part: part.first)
        expected = 0
        for group in _overlapping(parts):
            table = pyarrow.concat_tables(
                [self._read(part.path, ["number", "line"]) for part in group]
            ).sort_by("number")
            for row in table.to_pylist():
                if row["number"] != expected:
                    raise DataError(
                        f"{self.place}: row {expected + 1} of the input is not there once; "
                        "call the command again."
                    )
                expected += 1
                yield json.loads(row["line"])
        if expected != count:
            raise DataError(
                f"{self.place} holds {expected} of {count} rows; call the command again."
            )

    def _parts(self) -> list[str]:
        found = self._system.get_file_info(fs.FileSelector(self._path))
        return sorted(info.path for info in found if info.path.endswith(".parquet"))

    def _read(self, path: str, columns: list[str]) -> Any:
        with self._system.open_input_file(path) as file:
            return parquet.ParquetFile(file).read(columns)

    def _part(self, path: str) -> _Part:
        numbers = self._read(path, ["number"])["number"].to_numpy()
        return _Part(path, int(numbers.min()), int(numbers.max()))

    def _finished_in(self, path: str) -> NDArray[np.int64]:
        try:
            read = self._read(path, ["number", "transient"])
        except (pyarrow.ArrowInvalid, OSError):  # its writing was interrupted
            self._system.delete_file(path)
            return np.empty(0, np.int64)
        again = read["transient"].to_numpy()
        if again.any():
            self._keep(path, ~again)
        numbers: NDArray[np.int64] = read["number"].to_numpy()[~again]
        return numbers

    def _keep(self, path: str, kept: NDArray[np.bool_]) -> None:
        """Leave some rows of a file only: after this, or not at all."""
        if not kept.any():
            self._system.delete_file(path)
            return
        with self._system.open_input_file(path) as file:
            table = parquet.ParquetFile(file).read().filter(pyarrow.array(kept))
        draft = f"{path}.{secrets.token_hex(4)}.draft"
        parquet.write_table(table, draft, filesystem=self._system)
        self._system.move(draft, path)

    def _require_same(self, made_by: Mapping[str, Any]) -> None:
        try:
            with self._system.open_input_file(f"{self._path}/{_RUN}") as file:
                before = json.loads(file.read())
        except (OSError, ValueError) as error:
            raise DataError(
                f"{self.place} holds Parquet files, and no {_RUN} says what made them: {_REMEDY}."
            ) from error
        wanted = json.loads(json.dumps(made_by))
        if before != wanted:
            known = before if isinstance(before, dict) else {}
            keys = sorted(k for k in wanted.keys() | known.keys() if wanted.get(k) != known.get(k))
            raise DataError(
                f"{self.place} comes from another run (other {', '.join(keys)} in {_RUN}): "
                f"{_REMEDY}."
            )


def judged_table(
    numbers: Sequence[int],
    lines: Sequence[str],
    judged: Sequence[Mapping[str, Judgement]],
    columns: Sequence[tuple[str, str]],
) -> Any:
    """Make the table of a chunk.

    Args:
        numbers: The number of each row.
        lines: Its line of a judgement file.
        judged: Its judgements, by judge.
        columns: The judges and criteria that have a column of scores; null where there is none.
    """
    table = {
        "number": pyarrow.array(numbers, pyarrow.int64()),
        "line": pyarrow.array([line.rstrip("\n") for line in lines], pyarrow.string()),
        "transient": pyarrow.array(
            [any(s.transient for j in each.values() for s in j.scores.values()) for each in judged],
            pyarrow.bool_(),
        ),
    }
    for name, key in columns:
        scores = [each[name].scores.get(key) for each in judged]
        values = [None if score is None else score.score for score in scores]
        table[f"{name}.{key}"] = pyarrow.array(values, pyarrow.float64())
    return pyarrow.table(table)


def _require_once(numbers: NDArray[np.int64], place: str) -> None:
    twice = numbers[1:][numbers[1:] == numbers[:-1]]
    if len(twice):
        raise DataError(f"{place}: row {twice[0] + 1} of the input is there twice; {_REMEDY}.")


def _overlapping(parts: Sequence[_Part]) -> Iterator[list[_Part]]:
    """Put files together whose numbers lie among each other."""
    group: list[_Part] = []
    for part in parts:
        if group and part.first > max(each.last for each in group):
            yield group
            group = []
        group.append(part)
    if group:
        yield group
