"""Columns of scores while files are read, and how they become those of a table."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.errors import DataError
from inspector_plugin.schema.criteria import Scale
from inspector_plugin.schema.stored_values import require_probabilities

if TYPE_CHECKING:
    from inspector_plugin.data.score_table import ScoreColumn, Source

_NOTHING = math.nan


class RawColumn:
    """The cells of one judge and criterion in one file, in the order read."""

    def __init__(self, source: int, judge: str, key: str) -> None:
        self.source, self.judge, self.key = source, judge, key
        self.rows = array("q")
        self.scores, self.labels, self.confidence = array("d"), array("d"), array("d")
        self.flags, self.reasons, self.fingerprints = array("i"), array("i"), array("i")
        self.flag_sets: dict[tuple[str, ...], int] = {(): 0}
        self.reason_texts: dict[str, int] = {}
        self.fingerprint_texts: dict[str, int] = {}
        self._fingerprint_codes: dict[Any, int] = {None: -1}
        self.scales: dict[Scale, str] = {}
        # What could not be judged may stand on the criterion's scale, where the judge has its own.
        self.unscored_scale: Scale | None = None
        self.names_models = False  # whether the file names the model of any of its rows
        self._scale: Scale | None = None
        self._low = self._high = 0
        self._cell_of: dict[int, int] = {}
        self._marks = bytearray()

    def has(self, row: int) -> bool:
        """Whether there is a cell of a row."""
        return row < len(self._marks) and self._marks[row] == 1

    def score_at(self, row: int) -> float:
        """The score of a row that there is a cell of; NaN for none."""
        for cell in range(len(self._cell_of), len(self.rows)):  # those added since
            self._cell_of[self.rows[cell]] = cell
        return self.scores[self._cell_of[row]]

    def add(
        self, row: int, cell: Mapping[str, Any], where: str, scale: Scale, model: str | None
    ) -> None:
        """Add a cell.

        Args:
            row: Its row.
            cell: A score as the judgement format has it.
            where: Where it stands, for error messages.
            scale: Its scale.
            model: The model that the file names for the row.

        Raises:
            DataError: If it is malformed, or outside its scale.
        """
        try:
            score, label, reason = cell["score"], cell["label"], cell.get("reason")
            probabilities, flags = cell.get("probabilities"), cell.get("flags")
            fingerprint = cell.get("fingerprint")
            if score is None:
                self.unscored_scale = scale
                score = label = _NOTHING
                text = str(reason or "no reason is given")
                code = self.reason_texts.setdefault(text, len(self.reason_texts))
            else:
                code = -1
                if scale is not self._scale:  # hardly ever: the same object comes again and again
                    self._scale, self._low, self._high = scale, scale.minimum, scale.maximum
                    self.scales.setdefault(scale, where)
                if type(score) is not float and type(score) is not int:
                    raise ValueError(f"a score must be a number, not {score!r:.60}")
                if not self._low <= score <= self._high:
                    raise ValueError(f"the score {score:g} is outside the scale {scale.name}")
                if label is None:
                    label = math.floor(score + 0.5)  # the nearest; halves round up
                elif type(label) is not int or not self._low <= label <= self._high:
                    raise ValueError(f"the label {label!r:.60} is not one of {scale.name}")
            self.confidence.append(
                _NOTHING if not probabilities else _probability(probabilities, label)
            )
            flag_code = self._flag_code(flags) if flags else 0
            fingerprint_code = self._fingerprint_codes.get(fingerprint)
            if fingerprint_code is None:
                fingerprint_code = self._fingerprint_code(fingerprint)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else error
            raise DataError(f"{where}: {self.key} by {self.judge}: {reason}.") from error
        self.rows.append(row)
        self.scores.append(score)
        self.labels.append(label)
        self.reasons.append(code)
        self.flags.append(flag_code)
        self.fingerprints.append(fingerprint_code)
        if model is not None:
            self.names_models = True
        marks = self._marks
        if row >= len(marks):
            marks.extend(bytes(row + 1 - len(marks)))
        marks[row] = 1

    def _fingerprint_code(self, fingerprint: Any) -> int:
        known = self.fingerprint_texts
        code = known.setdefault(str(fingerprint), len(known))
        self._fingerprint_codes[fingerprint] = code
        return code

    def _flag_code(self, flags: Iterable[Any]) -> int:
        return self.flag_sets.setdefault(tuple(map(str, flags)), len(self.flag_sets))


def _probability(probabilities: Mapping[str, float], label: float) -> float:
    if label != label:  # there is no score
        return _NOTHING
    require_probabilities(probabilities.values())
    probability = probabilities.get(str(label), _NOTHING)
    return 1.0 if probability > 1 else probability


def columns_of(
    raw: Sequence[RawColumn],
    sources: Sequence[Source],
    count: int,
    slots: Sequence[Sequence[int]],
) -> tuple[
    dict[tuple[str, str], ScoreColumn],
    dict[tuple[str, str] | str, str],
    dict[str, tuple[int, ...]],
]:
    """Make the columns of a table of what the files hold.

    Args:
        raw: The columns of all files.
        sources: The files.
        count: How many rows the table has.
        slots: The rows that share question and response.

    Returns:
        The columns; why those that are left out cannot be used; the files of each judge.
    """
    names = _judge_names(raw, sources)
    groups: dict[tuple[str, str], list[RawColumn]] = {}
    judges: dict[str, tuple[int, ...]] = {}
    for column in raw:
        name = names[column.source, column.judge]
        groups.setdefault((name, column.key), []).append(column)
        judges[name] = tuple(sorted({*judges.get(name, ()), column.source}))
    columns, refused = {}, {}
    for (name, key), parts in groups.items():
        scales = {scale: where for part in parts for scale, where in part.scales.items()}
        if len(scales) > 1:
            listed = "; ".join(f"{scale.name} in {where}" for scale, where in scales.items())
            refused[name, key] = (
                f"The scores of {key} by {name} are on different scales ({listed}); put those of "
                "each scale into a file of its own."
            )
            continue
        scale = next(iter(scales), None) or next(
            part.unscored_scale for part in parts if part.unscored_scale is not None
        )
        columns[name, key] = _dense(name, key, scale, parts, count, slots)
    return columns, dict(refused), judges


def _judge_names(raw: Sequence[RawColumn], sources: Sequence[Source]) -> dict[tuple[int, str], str]:
    """Name the judge of each file: alike where files share no response, else by file."""
    inside: dict[int, set[str]] = {}
    for column in raw:
        inside.setdefault(column.source, set()).add(column.judge)
    names = {}
    for number, judges in inside.items():
        alias = sources[number].name
        for judge in judges:
            if alias is None:
                names[number, judge] = judge
            else:
                names[number, judge] = alias if len(judges) == 1 else f"{alias}/{judge}"
    shared: dict[str, list[tuple[int, str]]] = {}
    for column in raw:
        place = (column.source, column.judge)
        if place not in shared.setdefault(names[place], []):
            shared[names[place]].append(place)
    for name, places in shared.items():
        if len(places) > 1 and _collide(raw, places):
            stems = _different([sources[number].path for number, _ in places])
            for place, stem in zip(places, stems, strict=True):
                names[place] = f"{name} ({stem})"
    return names


def _collide(raw: Sequence[RawColumn], places: Sequence[tuple[int, str]]) -> bool:
    by_key: dict[str, list[RawColumn]] = {}
    for column in raw:
        if (column.source, column.judge) in places:
            by_key.setdefault(column.key, []).append(column)
    for parts in by_key.values():
        rows = np.concatenate([np.array(part.rows, dtype=np.int64) for part in parts])
        if len(np.unique(rows)) < len(rows):
            return True
    return False


def _different(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of paths that differ."""
    for depth in range(1, max(len(path.parts) for path in paths) + 1):
        ends = ["/".join(path.parts[-depth:]).removesuffix(".gz") for path in paths]
        ends = [end.removesuffix(".jsonl") for end in ends]
        if len(set(ends)) == len(ends):
            return ends
    return [f"file {number}" for number in range(1, len(paths) + 1)]


def _dense(
    name: str,
    key: str,
    scale: Scale,
    parts: Sequence[RawColumn],
    count: int,
    slots: Sequence[Sequence[int]],
) -> ScoreColumn:
    from inspector_plugin.data.score_table import ScoreColumn

    scores, labels, confidence = (np.full(count, np.nan) for _ in range(3))
    asked = np.zeros(count, dtype=np.bool_)
    flags = np.zeros(count, dtype=np.int32)
    reasons, fingerprints = (np.full(count, -1, dtype=np.int32) for _ in range(2))
    flag_sets: dict[tuple[str, ...], int] = {(): 0}
    reason_texts: dict[str, int] = {}
    fingerprint_texts: dict[str, int] = {}
    for part in parts:
        rows = np.array(part.rows, dtype=np.int64)
        scores[rows], labels[rows], confidence[rows] = part.scores, part.labels, part.confidence
        asked[rows] = True
        flags[rows] = _recoded(part.flags, part.flag_sets, flag_sets)
        reasons[rows] = _recoded(part.reasons, part.reason_texts, reason_texts)
        fingerprints[rows] = _recoded(part.fingerprints, part.fingerprint_texts, fingerprint_texts)
    if not any(part.names_models for part in parts):  # else they are about one model's response
        for row, others in _spread(asked, slots):
            for values in (scores, labels, confidence, asked, flags, reasons, fingerprints):
                values[others] = values[row]
    known = set(fingerprint_texts)
    return ScoreColumn(
        judge=name,
        key=key,
        scale=scale,
        fingerprint=known.pop() if len(known) == 1 else None,
        scores=scores,
        labels=labels,
        confidence=confidence,
        asked=asked,
        reasons=tuple(reason_texts),
        reason_codes=reasons,
        flag_sets=tuple(flag_sets),
        flag_codes=flags,
        fingerprints=tuple(fingerprint_texts),
        fingerprint_codes=fingerprints,
    )


def _spread(
    has: NDArray[np.bool_], slots: Sequence[Sequence[int]]
) -> Iterator[tuple[int, list[int]]]:
    """Say which cells hold for further rows: the one cell of a text that stands in several rows.

    Args:
        has: Which rows have a cell, [rows].
        slots: The rows that share question and response.

    Yields:
        Rows with a cell, and the rows that take it over.
    """
    for slot in slots:
        having = [row for row in slot if has[row]]
        if len(having) == 1:
            yield having[0], [row for row in slot if not has[row]]


def _recoded(codes: array[int], old: Mapping[Any, int], new: dict[Any, int]) -> NDArray[np.int32]:
    """The codes of values in a part, as codes in the whole column."""
    map_ = np.array([new.setdefault(value, len(new)) for value in old] + [-1], dtype=np.int32)
    return map_[np.array(codes, dtype=np.int64)]
