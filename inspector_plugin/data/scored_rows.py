"""Scores to learn from, or to compare with: stored scores as scores on criteria."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TypeVar

from inspector_plugin.data.problems import problem_names
from inspector_plugin.data.stored_scores import read_stored_scores
from inspector_plugin.data.text import is_unicode
from inspector_plugin.errors import DataError, one_of
from inspector_plugin.schema.criteria import Criterion, Scale
from inspector_plugin.schema.roscoe import ROSCOE

Row = TypeVar("Row")


@dataclass(frozen=True)
class ScoredRow:
    """A score to learn from.

    Attributes:
        id: The problem's id.
        question: The problem.
        response: The response that was scored.
        criterion: The criterion.
        score: The score.
        scale: Its scale: that of the criterion, or `BINARY`.
    """

    id: str
    question: str
    response: str
    criterion: Criterion
    score: float
    scale: Scale

    @property
    def label(self) -> int:
        """The label nearest to the score."""
        return self.scale.nearest(self.score)

    @property
    def is_high(self) -> bool:
        """Whether the score means high quality."""
        return self.scale.is_high(self.score)

    @property
    def can_be_judged(self) -> bool:
        """Whether there is something to learn from: a judge leaves other rows unscored."""
        texts = [self.question] if self.criterion.of_question else [self.question, self.response]
        return all(text.strip() and is_unicode(text) for text in texts)


def read_scored(
    path: str | Path,
    criteria: Sequence[Criterion] | None = None,
    scored_by: str | None = None,
) -> list[ScoredRow]:
    """Read the scores of a file as scores on criteria; unscored responses are left out.

    Args:
        path: The file, .jsonl or .jsonl.gz.
        criteria: The criteria to read the scores on, matched by key, and by fingerprint where the
            file has one; scores on others are left out. None for `roscoe` and no others.
        scored_by: Whose scores to take, where the file has those of several judges.

    Raises:
        DataError: If the file is malformed, or a score is not for the criterion of its key.
    """
    by_key = {criterion.key: criterion for criterion in (ROSCOE if criteria is None else criteria)}
    rows = []
    for stored in read_stored_scores(path, scored_by):
        criterion = by_key.get(stored.key)
        if criterion is None:
            if criteria is None:
                raise DataError(
                    f"{stored.where}: {one_of(stored.key, by_key, 'criterion')} Give the criteria "
                    "of this file with --criteria."
                )
            continue
        misfit = stored.misfit(criterion)
        if misfit is not None:
            raise DataError(f"{stored.where}: {misfit}; give the file's own with --criteria.")
        if stored.score is not None:
            scale = stored.scale or criterion.scale
            rows.append(
                ScoredRow(
                    stored.id, stored.question, stored.response, criterion, stored.score, scale
                )
            )
    return rows


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
        fields = (row.id, row.question, row.response, row.criterion.key, repr(row.score))
        digest.update("\x1f".join(fields).encode("utf-8", "surrogatepass") + b"\x1e")
    return digest.hexdigest()
