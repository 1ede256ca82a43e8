"""Which responses a report lists, and what it shows of them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.data.jsonl import response_field
from inspector_plugin.data.score_table import ScoreColumn, ScoreTable
from inspector_plugin.data.stored_scores import RESPONSE_FIELDS
from inspector_plugin.report.document import CutText, ShownResponse, ShownScore
from inspector_plugin.report.runs import RunFile, Written

MOST_BYTES = 4096
MOST_ID = 80
# GPQA's authors ask that its text not appear in the open, so that models do not learn it.
_NOT_IN_THE_OPEN = "gpqa"
_GPQA_QUESTION = re.compile(r"\s*What is the correct answer to this question:", re.IGNORECASE)
_GPQA_ID = re.compile(r"rec[A-Za-z0-9]{14}(_|\b)")


def most_telling(table: ScoreTable, reference: str | None, most: int) -> list[int]:
    """Choose the responses that say most about the judges.

    First those whose scores lie furthest apart: a judge's and the reference's, or, without a
    reference, any two judges'. Then those that are unscored or flagged, then those with the most
    extreme scores.

    Args:
        table: The scores.
        reference: The judge that the others are compared with, if there is one.
        most: How many to choose.

    Returns:
        Numbers of rows, the most telling first; rows that nobody was asked to judge are left out.
    """
    if not table.columns:
        return []
    apart = np.max([*differences(table, reference).values(), np.zeros(table.rows)], axis=0)
    columns = list(table.columns.values())
    noted = np.zeros(table.rows)
    extreme = np.zeros(table.rows)
    asked = np.zeros(table.rows, dtype=np.bool_)
    for column in columns:
        asked |= column.asked
        noted = np.maximum(noted, np.where(column.asked & ~column.scored, 2, column.flagged()))
        extreme += np.nan_to_num(np.abs(column.shares - 0.5))
    order = np.lexsort((-extreme, -noted, -np.round(apart, 9)))
    return [int(row) for row in order if asked[row]][:most]


def differences(table: ScoreTable, reference: str | None) -> dict[str, NDArray[np.float64]]:
    """Say how far the scores on each criterion lie apart.

    Args:
        table: The scores.
        reference: The judge that the others are compared with, if there is one.

    Returns:
        By criterion, for each row the largest difference as a share of the scale, in [0, 1]; 0
        where there is nothing to compare.
    """
    found = {}
    for key in table.keys:
        columns = [column for (_, name), column in table.columns.items() if name == key]
        theirs = next((each for each in columns if each.judge == reference), None)
        if len(columns) < 2 or (reference is not None and theirs is None):
            continue
        pairs = (
            [(theirs, each) for each in columns if each is not theirs]
            if theirs is not None
            else [(a, b) for number, a in enumerate(columns) for b in columns[number + 1 :]]
        )
        apart = [np.nan_to_num(np.abs(_apart(one, other))) for one, other in pairs]
        found[key] = np.max(apart, axis=0)
    return found


def _apart(one: ScoreColumn, other: ScoreColumn) -> NDArray[np.float64]:
    if one.scale != other.scale:
        one, other = one.as_binary(), other.as_binary()
    gap: NDArray[np.float64] = one.shares - other.shares
    return gap


def shown_responses(
    table: ScoreTable,
    reference: str | None,
    rows: Mapping[int, Mapping[str, Any]],
    files: Sequence[RunFile],
    written: Written,
    *,
    show_gpqa: bool = False,
) -> list[ShownResponse]:
    """Make what is shown of responses.

    Args:
        table: The scores.
        reference: The judge that the others are compared with, if there is one.
        rows: The rows to show, in that order, as `ScoreTable.read_rows` returns them.
        files: The table's files.
        written: What judges wrote.
        show_gpqa: Whether to show the texts of GPQA, too; else its ids stand for them.
    """
    apart = differences(table, reference)
    shown = []
    for number, (place, row) in enumerate(rows.items(), start=1):
        question = str(row.get("question") or "")
        response = response_field(row, RESPONSE_FIELDS, table.where(place))[0]
        is_open = show_gpqa or not _is_gpqa(table, place, files, question)
        scores = [
            _shown_score(column, place, written, is_open)
            for key in table.keys
            for (_, name), column in table.columns.items()
            if name == key and column.asked[place]
        ]
        shown.append(
            ShownResponse(
                number=number,
                id=_cut_id(table.ids[place], is_open),
                model=table.models[place],
                where=table.where(place),
                length=len(response),
                question=cut(question) if is_open else None,
                response=cut(response) if is_open else None,
                scores=scores,
                differences={
                    key: round(float(gaps[place]), 4)
                    for key, gaps in apart.items()
                    if sum(score.key == key and score.score is not None for score in scores) > 1
                },
                outcomes={
                    name: float(values[place])
                    for name, values in table.outcomes.items()
                    if not math.isnan(values[place])
                },
            )
        )
    return shown


def cut(text: str) -> CutText:
    """Keep the beginning of a text: at most 4 kB as the page stores it."""
    kept = text[:MOST_BYTES].encode("utf-8", "replace")[:MOST_BYTES].decode("utf-8", "ignore")
    return CutText(kept, len(text))


def _is_gpqa(table: ScoreTable, row: int, files: Sequence[RunFile], question: str) -> bool:
    file = files[table.places.sources[row]]
    named = (table.datasets[row], file.dataset, file.path.name)
    return (
        any(_NOT_IN_THE_OPEN in name.lower() for name in named if name is not None)
        or _GPQA_QUESTION.match(question) is not None
        or _GPQA_ID.match(table.ids[row]) is not None
    )


def _cut_id(id_: str, is_open: bool) -> str:
    """The id, unless a text stands in its place."""
    if len(id_) <= MOST_ID and (is_open or len(id_.split()) < 3):
        return id_
    return id_[: MOST_ID - 1] + "…" if is_open else "not shown"


def _shown_score(column: ScoreColumn, row: int, written: Written, is_open: bool) -> ShownScore:
    place = (row, column.judge, column.key)
    score, label = float(column.scores[row]), float(column.labels[row])
    verdicts = written.items.get(place, {})
    parts = [f"{key}: {_verdict(value)}" for key, value in verdicts.items()]
    if place in written.explanations:
        parts.append(written.explanations[place])
    return ShownScore(
        judge=column.judge,
        key=column.key,
        score=None if math.isnan(score) else score,
        label=None if math.isnan(label) else int(label),
        scale=column.scale.name,
        flags=column.flags_of(row),
        reason=column.reason_of(row),
        explanation=cut("\n".join(parts)) if parts and is_open else None,
    )


def _verdict(value: Any) -> str:
    """A verdict on an item of a rubric, in a word or two and what was said."""
    if not isinstance(value, Mapping):
        return str(value)
    return ", ".join(f"{name} {each}" for name, each in value.items() if each is not None)
