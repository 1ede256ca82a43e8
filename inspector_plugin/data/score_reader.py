"""Reading files of scores into a `ScoreTable`: one line at a time, keeping numbers and no texts."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from inspector_plugin.data.eval_logs import is_sample_log, judged_rows
from inspector_plugin.data.jsonl import placed_rows, response_field, text_field
from inspector_plugin.data.outcomes import Outcomes
from inspector_plugin.data.score_columns import RawColumn, columns_of
from inspector_plugin.data.score_rows import RowsRead
from inspector_plugin.data.score_table import ScoreTable, Source
from inspector_plugin.data.stored_scores import (
    ANNOTATOR,
    CRITERION_FIELDS,
    JUDGEMENTS,
    RESPONSE_FIELDS,
    ScalesOfVersion1,
)
from inspector_plugin.errors import CriteriaError, DataError, shown
from inspector_plugin.schema.criteria import MULTICLASS, Criterion, Scale
from inspector_plugin.schema.records import FORMAT_VERSION
from inspector_plugin.schema.roscoe import ROSCOE
from inspector_plugin.schema.stored_values import object_in


def read(
    sources: Sequence[Source], criteria: Sequence[Criterion], outcomes: Sequence[str]
) -> ScoreTable:
    """Read files into one table; see `read_score_table`."""
    expanded = [each for source in sources for each in _files_of(source)]
    seen: set[str] = set()
    for each in expanded:
        place = os.path.realpath(each.path)
        if place in seen:
            raise DataError(
                f"{each.path} is given twice; give each file once. If one of its judges is the "
                "reference, name it (--reference NAME)."
            )
        seen.add(place)
    reader = _Reader(criteria, outcomes)
    for number, source in enumerate(expanded):
        reader.read_file(number, source)
    return reader.table(tuple(expanded))


class _Reader:
    """Collects rows and cells, file by file."""

    def __init__(self, criteria: Sequence[Criterion], outcomes: Sequence[str]) -> None:
        self._scales = {each.key: each.scale for each in (*ROSCOE, *criteria)}
        # Scales of equal labels are one object, so that they are told apart at a glance.
        self._known_scales: dict[Scale, Scale] = {}
        self._last_scale: tuple[Any, Scale] = (None, MULTICLASS)
        self._columns: dict[tuple[int, str, str], RawColumn] = {}
        self._outcomes = Outcomes(outcomes)
        self._rows = RowsRead()
        self._dropped = 0
        self._stated_model: str | None = None  # by the rows of the file that is read

    def read_file(self, number: int, source: Source) -> None:
        version1 = ScalesOfVersion1(source.path)
        before = len(self._columns), self._outcomes.found
        empty = True
        self._stated_model = None
        for line_number, offset, line in placed_rows(source.path):
            empty = False
            where = f"{source.path}, line {line_number}"
            if is_sample_log(line) and JUDGEMENTS not in line:
                self._outcomes.add_log_line(line)
                for item, row in enumerate(judged_rows(line, where)):
                    place = (number, offset, line_number, item)
                    index = self._read_row(row, source, place, where, version1)
                    self._outcomes.add_log_row(line, index)
            else:
                place = (number, offset, line_number, 0)
                index = self._read_row(line, source, place, where, version1)
                self._outcomes.add_row(line, index, where)
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
        is_short = JUDGEMENTS not in row
        index = self._known_row(question.strip(), response.strip(), model, cells, is_short)
        if index is None:
            index = self._rows.add(row, response, model, place)
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
            for judge, judgement in object_in(judgements, JUDGEMENTS).items():
                scores = object_in(judgement, f"the judgement of {judge!r:.40}")
                if "format_version" in judgement:
                    version = judgement["format_version"]
                    if type(version) is not int or not 1 < version <= FORMAT_VERSION:
                        raise ValueError(
                            f"format_version {version!r:.40} is not one that this version reads "
                            f"(up to {FORMAT_VERSION})"
                        )
                    scores = object_in(judgement["scores"], "scores")
                for key, cell in scores.items():
                    object_in(cell, f"the score on {key!r:.40}")
                    column = self._columns.get((number, judge, key))
                    if column is None:
                        column = self._column(number, judge, key)
                    cells.append((column, cell))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"{where}: its judgements cannot be read ({shown(error, 200)})."
            ) from error
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
        labels = cell.get("scale")
        if labels is not None and labels == self._last_scale[0]:  # as it nearly always is
            return self._last_scale[1]
        try:
            if labels is None:
                probabilities = cell.get("probabilities")
                if probabilities is None or isinstance(probabilities, Mapping):
                    numbers = probabilities and dict.fromkeys(map(int, probabilities), 0.0)
                    stated = version1.scale_of(column.judge, numbers)
                    return stated or self._scales.get(column.key, MULTICLASS)
            scale = Scale(tuple(labels))  # type: ignore[arg-type]
            known = self._known_scales.setdefault(scale, scale)
            self._last_scale = (labels, known)
            return known
        except (TypeError, ValueError, CriteriaError) as error:
            raise DataError(f"{where}: the scale of {column.key!r}: {error}.") from error

    def _known_row(
        self,
        question: str,
        response: str,
        model: str | None,
        cells: Sequence[tuple[RawColumn, Mapping[str, Any]]],
        is_short: bool,
    ) -> int | None:
        """The row that has this response and no such scores yet; None if there is none."""
        for index in self._rows.matching(question, response, model):
            if is_short or not any(column.has(index) for column, _ in cells):
                self._rows.models[index] = self._rows.models[index] or model
                return index
        return None

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
        rows, count, shared = self._rows, len(self._rows), self._rows.shared()
        columns, refused, judges = columns_of(list(self._columns.values()), sources, count, shared)
        outcomes, refused_outcomes = self._outcomes.arrays(count, shared)
        refused.update(refused_outcomes)
        problems, codes = rows.problems([_stem(source.path) for source in sources])
        question_hashes, response_hashes = rows.hashes()
        return ScoreTable(
            sources=sources,
            problems=problems,
            problem_codes=codes,
            ids=rows.ids,
            models=rows.models,
            datasets=rows.datasets,
            question_hashes=question_hashes,
            response_hashes=response_hashes,
            lengths=np.array(rows.lengths, dtype=np.int64),
            columns=columns,
            outcomes=outcomes,
            places=rows.places(),
            repeated=sum(len(each) - 1 for each in shared),
            dropped=self._dropped,
            refused=refused,
            judge_sources=judges,
        )


def _files_of(source: Source) -> list[Source]:
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


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".jsonl") or str(path)
