"""Scored rows: the one format in which scores are stored, learnt from and compared with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from inspector_plugin.aspects import ASPECT_KEYS
from inspector_plugin.errors import DataError, one_of
from inspector_plugin.problems import problem_names
from inspector_plugin.rows import read_rows, text_field
from inspector_plugin.schema import MULTICLASS

RESPONSE_FIELDS = ("response", "prediction")

Row = TypeVar("Row")


@dataclass(frozen=True)
class ScoredRow:
    """One stored score.

    Attributes:
        id: The problem's id; the question's text where the file has none.
        question: The problem.
        response: The response that was scored.
        aspect: The aspect's key.
        score: The score, 1 to 5.
    """

    id: str
    question: str
    response: str
    aspect: str
    score: float


def read_scored(path: str | Path) -> list[ScoredRow]:
    """Read a JSONL file of question, response (or prediction), aspect, score and perhaps id.

    Raises:
        DataError: If a line lacks a field, names an unknown aspect, or its score is not a number
            from 1 to 5.
    """
    return [row for _, row in iterate_scored(path)]


def iterate_scored(path: str | Path) -> Iterator[tuple[str, ScoredRow]]:
    """Read scored rows one by one, each with where it stands, such as "scores.jsonl, line 3".

    Raises:
        DataError: As for `read_scored`.
    """
    for number, row in read_rows(path):
        where = f"{path}, line {number}"
        yield where, _scored_row(row, where)


def sample(rows: Sequence[Row], most: int | None, seed: int) -> list[Row]:
    """Draw rows without replacement, keeping their order. A larger draw holds any smaller one.

    Args:
        rows: The rows.
        most: How many to draw; all of them if None, or if there are no more.
        seed: Seed of the draw.
    """
    order = list(range(len(rows)))
    Random(seed).shuffle(order)
    return [rows[index] for index in sorted(order[:most])]


def problems_of(rows: Sequence[ScoredRow]) -> list[str]:
    """Name the problem of each row; see `problem_names`."""
    return problem_names([row.id for row in rows], [row.question for row in rows])


def data_sha256(rows: Iterable[ScoredRow]) -> str:
    """Hash scored rows, whatever the order of the file's fields.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for row in rows:
        fields = (row.id, row.question, row.response, row.aspect, repr(row.score))
        digest.update("\x1f".join(fields).encode("utf-8", "surrogatepass") + b"\x1e")
    return digest.hexdigest()


def _scored_row(row: dict[str, Any], where: str) -> ScoredRow:
    question = text_field(row, ("question",), where)
    aspect = text_field(row, ("aspect",), where)
    if aspect not in ASPECT_KEYS:
        raise DataError(f"{where}: {one_of(aspect, ASPECT_KEYS, 'aspect')}")
    identifier = row.get("id")
    return ScoredRow(
        id=question if identifier is None else str(identifier),
        question=question,
        response=text_field(row, RESPONSE_FIELDS, where),
        aspect=aspect,
        score=_score(row.get("score"), where),
    )


def _score(value: Any, where: str) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    low, high = MULTICLASS.minimum, MULTICLASS.maximum
    if not number or not low <= value <= high:
        raise DataError(f"{where}: the score must be a number from {low} to {high}, not {value!r}.")
    return float(value)
