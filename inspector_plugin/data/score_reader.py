"""Reading files of scores into a `ScoreTable`: one line at a time, keeping numbers and no texts."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import zlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from inspector_plugin.data.eval_logs import is_sample_log
from inspector_plugin.data.files import require_ordinary
from inspector_plugin.data.jsonl import response_field, text_field
from inspector_plugin.data.outcomes import Outcomes
from inspector_plugin.data.problems import joined_problems, problem_key
from inspector_plugin.data.score_columns import RawColumn, columns_of
from inspector_plugin.data.score_table import RowPlaces, ScoreTable, Source
from inspector_plugin.data.stored_scores import (
    ANNOTATOR,
    CRITERION_FIELDS,
    JUDGEMENTS,
    RESPONSE_FIELDS,
    ScalesOfVersion1,
    rows_of,
)
from inspector_plugin.errors import CriteriaError, DataError
from inspector_plugin.schema.criteria import MULTICLASS, Criterion, Scale
from inspector_plugin.schema.records import FORMAT_VERSION
from inspector_plugin.schema.roscoe import ROSCOE

_NEW = -1


def read(
    sources: Sequence[Source], criteria: Sequence[Criterion], outcomes: Sequence[str]
) -> ScoreTable:
    """Read files into one table; see `read_score_table`."""
    expanded = [each for source in sources for each in _expand(source)]
    reader = _Reader(criteria, outcomes)
    for number, source in enumerate(expanded):
        reader.read_file(number, source)
    return reader.table(tuple(expanded))


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
                    yield number, offset, _parse(line, f"{path}, line {number}")
                offset += len(line)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"Cannot read {path}: {error}.") from error


def _parse(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
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


def _expand(source: Source) -> list[Source]:
    """The files of a source: itself, or the newest log of each task in a folder of results."""
    if not source.path.is_dir():
        return [source]
    logs: dict[tuple[Path, str], Path] = {}
    for path in sorted(source.path.rglob("samples_*.jsonl")):
        task = path.stem.rpartition("_")[0]  # samples_<task>_<date>; dates sort as texts
        logs[path.parent, task] = path
    if not logs:
        raise DataError(f"{source.path} holds no samples_*.jsonl; run lm_eval with --log_samples.")
    return [replace(source, path=path) for path in logs.values()]


class _Reader:
    """Collects rows and cells, file by file."""

    def __init__(self, criteria: Sequence[Criterion], outcomes: Sequence[str]) -> None:
        self._scales = {each.key: each.scale for each in (*ROSCOE, *criteria)}
        self._known_scales: dict[tuple[Any, ...], Scale] = {}
        self._columns: dict[tuple[int, str, str], RawColumn] = {}
        self._outcomes = Outcomes(outcomes)
        self._slots: dict[bytes, int | list[int]] = {}
        self._questions, self._responses = array("Q"), array("Q")
        self._lengths, self._offsets, self._lines = array("q"), array("q"), array("q")
        self._source_numbers, self._items = array("i"), array("i")
        self._ids: list[str] = []
        self._models: list[str | None] = []
        self._datasets: list[str | None] = []
        self._words: list[str] = []
        self._last_question: tuple[str, int, str] = ("", 0, "")
        self._dropped = 0
        self._stated_model: str | None = None  # by the rows of the file that is read

    def read_file(self, number: int, source: Source) -> None:
        version1 = ScalesOfVersion1(source.path)
        before = len(self._columns), self._outcomes.found
        empty = True
        self._stated_model = None
        for line_number, offset, line in numbered_lines(source.path):
            empty = False
            where = f"{source.path}, line {line_number}"
            place = (number, offset, line_number)
            from_log = is_sample_log(line) and JUDGEMENTS not in line
            if from_log:
                self._outcomes.add_log_line(line)
            for item, row in enumerate(rows_of(line, where)):
                index = self._read_row(row, source, (*place, item), where, version1)
                if from_log:
                    self._outcomes.add_log_row(line, index)
                else:
                    self._outcomes.add_row(row, index, where)
        self._outcomes.end_of_file(source.path)
        if (len(self._columns), self._outcomes.found) == before:
            lack = "holds no rows" if empty else "holds no judgements"
            raise DataError(f"{source.path} {lack}; `inspector score` writes files that do.")

    def _read_row(
        self,
        row: Mapping[str, Any],
        source: Source,
        place: tuple[int, int, int, int],
        where: str,
        version1: ScalesOfVersion1,
    ) -> int:
        question = text_field(row, ("question",), where)
        response, missing = response_field(row, RESPONSE_FIELDS, where)
        model = self._model(row, source, where)
        if JUDGEMENTS in row:
            cells = self._judgement_cells(row[JUDGEMENTS], place[0], where, version1)
            if missing is not None and any(cell.get("score") is not None for _, cell in cells):
                raise DataError(f"{where}: there are scores, but {missing}.")
        elif any(name in row for name in CRITERION_FIELDS):
            cells = [self._short_cell(row, source, place[0], where)]
        elif self._outcomes.has(row):
            cells = []
        else:
            raise DataError(
                f"{where}: there are neither judgements nor a criterion and a score; "
                "docs/judgement-format.md describes files of scores."
            )
        columns = [column for column, _ in cells]
        is_short = JUDGEMENTS not in row
        index = self._row_for(question.strip(), response.strip(), model, columns, is_short)
        if index == _NEW:
            index = self._new_row(row, question, response, model, place)
        for column, cell in cells:
            if is_short and column.has(index):
                self._check_same(column, index, cell, where)
                self._dropped += 1
                continue
            column.add(index, cell, where, self._scale(column, cell, where, version1), model)
        return index

    def _model(self, row: Mapping[str, Any], source: Source, where: str) -> str | None:
        """The model that wrote a row's response."""
        stated = row.get("model")
        stated = stated if isinstance(stated, str) and stated else None
        if not source.overrides:
            return stated or source.model
        self._stated_model = self._stated_model or stated
        if stated not in (None, self._stated_model):
            raise DataError(
                f"{where}: this response is by {stated!r}, earlier ones by "
                f"{self._stated_model!r}; {source.model}=FILE is for a file of one model, so give "
                f"FILE without '{source.model}='."
            )
        return source.model

    def _judgement_cells(
        self, judgements: Any, number: int, where: str, version1: ScalesOfVersion1
    ) -> list[tuple[RawColumn, Mapping[str, Any]]]:
        cells: list[tuple[RawColumn, Mapping[str, Any]]] = []
        try:
            for judge, judgement in judgements.items():
                scores = judgement
                if "format_version" in judgement:
                    version = judgement["format_version"]
                    if type(version) is not int or not 1 < version <= FORMAT_VERSION:
                        raise ValueError(
                            f"format_version {version!r:.40} is not one that this version reads "
                            f"(up to {FORMAT_VERSION})"
                        )
                    scores = judgement["scores"]
                for key, cell in scores.items():
                    if not isinstance(cell, dict):
                        raise TypeError(f"the score on {key!r} is not an object")
                    column = self._columns.get((number, judge, key))
                    if column is None:
                        column = self._column(number, judge, key)
                    cells.append((column, cell))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise DataError(f"{where}: its judgements cannot be read ({reason}).") from error
        return cells

    def _short_cell(
        self, row: Mapping[str, Any], source: Source, number: int, where: str
    ) -> tuple[RawColumn, Mapping[str, Any]]:
        key = text_field(row, CRITERION_FIELDS, where)
        annotator = row.get(ANNOTATOR)
        judge = _stem(source.path) if annotator is None else str(annotator)
        cell = {name: row[name] for name in ("scale", "fingerprint") if row.get(name) is not None}
        return self._column(number, judge, key), {**cell, "score": row.get("score"), "label": None}

    def _column(self, number: int, judge: str, key: str) -> RawColumn:
        return self._columns.setdefault((number, judge, key), RawColumn(number, judge, key))

    def _scale(
        self, column: RawColumn, cell: Mapping[str, Any], where: str, version1: ScalesOfVersion1
    ) -> Scale:
        """The scale of a score: what it says, what its file says, or the criterion's own."""
        try:
            labels = cell.get("scale")
            if labels is None:
                probabilities = cell.get("probabilities")
                if probabilities is None or isinstance(probabilities, Mapping):
                    numbers = probabilities and dict.fromkeys(map(int, probabilities), 0.0)
                    stated = version1.scale_of(column.judge, numbers)
                    return stated or self._scales.get(column.key, MULTICLASS)
            labels = tuple(labels)  # type: ignore[arg-type]
            known = self._known_scales.get(labels)
            if known is None:
                known = self._known_scales[labels] = Scale(labels)
            return known
        except (TypeError, ValueError, CriteriaError) as error:
            raise DataError(f"{where}: the scale of {column.key!r}: {error}.") from error

    def _row_for(
        self,
        question: str,
        response: str,
        model: str | None,
        columns: Sequence[RawColumn],
        is_short: bool,
    ) -> int:
        """The row that has this response and no scores in these columns yet; -1 for none."""
        if question != self._last_question[0]:
            self._last_question = (question, _hash(question), problem_key(question))
        self._response_hash = _hash(response)
        self._key = self._last_question[1].to_bytes(8, "big") + self._response_hash.to_bytes(
            8, "big"
        )
        slot = self._slots.get(self._key)
        if slot is None:
            return _NEW
        for index in (slot,) if isinstance(slot, int) else slot:
            other = self._models[index]
            fits = model is None or other is None or model == other
            if fits and (is_short or not any(column.has(index) for column in columns)):
                self._models[index] = other or model
                return index
        return _NEW

    def _new_row(
        self,
        row: Mapping[str, Any],
        question: str,
        response: str,
        model: str | None,
        place: tuple[int, int, int, int],
    ) -> int:
        index = len(self._ids)
        slot = self._slots.get(self._key)
        if slot is None:
            self._slots[self._key] = index
        elif isinstance(slot, int):
            self._slots[self._key] = [slot, index]
        else:
            slot.append(index)
        identifier, dataset = row.get("id"), row.get("dataset")
        self._questions.append(self._last_question[1])
        self._responses.append(self._response_hash)
        self._words.append(self._last_question[2])
        self._ids.append(self._last_question[2] if identifier is None else str(identifier))
        self._models.append(model)
        self._datasets.append(dataset if isinstance(dataset, str) else None)
        self._lengths.append(len(response))
        source, offset, line, item = place
        self._source_numbers.append(source)
        self._offsets.append(offset)
        self._lines.append(line)
        self._items.append(item)
        return index

    @staticmethod
    def _check_same(column: RawColumn, row: int, cell: Mapping[str, Any], where: str) -> None:
        first = column.score_at(row)
        score = cell["score"]
        if score is None and math.isnan(first):
            return
        if score != first:
            raise DataError(
                f"{where}: {column.key} of this response is scored {score}, but {first:g} in an "
                f"earlier line; keep one of the two, or say who scored in a field "
                f"{ANNOTATOR!r}."
            )

    def table(self, sources: tuple[Source, ...]) -> ScoreTable:
        """Put the table together."""
        count = len(self._ids)
        problems, codes = joined_problems(
            list(zip(self._source_numbers, self._datasets, self._ids, strict=True)), self._words
        )
        slots = [slot for slot in self._slots.values() if not isinstance(slot, int)]
        columns, refused, judges = columns_of(list(self._columns.values()), sources, count, slots)
        outcomes, refused_outcomes = self._outcomes.arrays(count, slots)
        refused.update(refused_outcomes)
        return ScoreTable(
            sources=sources,
            problems=_names(problems, [_stem(source.path) for source in sources]),
            problem_codes=codes,
            ids=self._ids,
            models=self._models,
            datasets=self._datasets,
            question_hashes=np.array(self._questions, dtype=np.uint64),
            response_hashes=np.array(self._responses, dtype=np.uint64),
            lengths=np.array(self._lengths, dtype=np.int64),
            columns=columns,
            outcomes=outcomes,
            places=RowPlaces(
                np.array(self._source_numbers, dtype=np.int32),
                np.array(self._offsets, dtype=np.int64),
                np.array(self._lines, dtype=np.int64),
                np.array(self._items, dtype=np.int32),
            ),
            repeated=sum(len(slot) - 1 for slot in slots),
            dropped=self._dropped,
            refused=refused,
            judge_sources=judges,
        )


def _names(problems: Sequence[tuple[int, str | None, str]], stems: Sequence[str]) -> list[str]:
    """Name problems by their ids; by data set or file too where two would be called alike."""
    meant: dict[str, set[tuple[int, str | None, str]]] = {}
    for problem in set(problems):
        meant.setdefault(problem[2], set()).add(problem)
    names = {}
    for identifier, alike in meant.items():
        for problem in alike:
            number, dataset, _ = problem
            scope = stems[number] if dataset is None else f"{stems[number]}/{dataset}"
            names[problem] = identifier if len(alike) == 1 else f"{scope}/{identifier}"
    return [names[problem] for problem in problems]


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".jsonl") or str(path)


def _hash(text: str) -> int:
    content = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big")
