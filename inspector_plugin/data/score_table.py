"""Judged responses as columns: the scores of judges and people side by side, from several files.

Whatever draws conclusions from scores (agreement, rankings, corrected means, reports) reads them
here. A row is a response, a column the scores of one judge on one criterion; responses of several
files are joined by the texts of question and response, white space at their ends aside. No text is
kept: `ScoreTable.read_rows` fetches the rows that are wanted in full.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.data.stored_scores import rows_of
from inspector_plugin.errors import DataError, one_of
from inspector_plugin.schema.correctness import counts_in_total
from inspector_plugin.schema.criteria import BINARY, Criterion, Scale
from inspector_plugin.schema.roscoe import in_table_order

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Source:
    """A file of scores.

    Attributes:
        path: The file; or a folder of lm_eval's results, for the newest sample log of each task.
        name: What the judge of this file is called, where it is not to be called as in the file.
        model: The model that wrote the responses of rows that name none. Leave it out for scores
            of a reference: they then hold for a text whichever model wrote it.
        overrides: Whether `model` takes the place of the one model that the rows name.
    """

    path: Path
    name: str | None = None
    model: str | None = None
    overrides: bool = False

    @staticmethod
    def parse(text: str) -> Source:
        """Read FILE or NAME=FILE, as the command line takes them."""
        name, separator, path = text.partition("=")
        if not separator or not name or Path(text).exists():
            return Source(Path(text))
        return Source(Path(path), name)


@dataclass(frozen=True)
class ScoreColumn:
    """The scores of one judge on one criterion, a place for each row of the table, [rows].

    Attributes:
        judge: The judge's name.
        key: The criterion's key.
        scale: The scale of scores and labels.
        fingerprint: That of the criterion; None where the files do not say, or name several.
        scores: Scores on the scale; NaN where there is none.
        labels: The labels chosen; NaN where there is no score.
        confidence: Probability of the label; NaN where the judge gives none.
        asked: Whether the judge was asked to judge the row, scored or not.
        reasons: The different reasons why scores are missing.
        reason_codes: Which of them a row has; -1 for none.
        flag_sets: The different combinations of flags, the first of them empty.
        flag_codes: Which of them a row has.
        fingerprints: The different fingerprints that the rows name.
        fingerprint_codes: Which of them a row has; -1 for none.
    """

    judge: str
    key: str
    scale: Scale
    fingerprint: str | None
    scores: Floats
    labels: Floats
    confidence: Floats
    asked: NDArray[np.bool_]
    reasons: tuple[str, ...]
    reason_codes: NDArray[np.int32]
    flag_sets: tuple[tuple[str, ...], ...]
    flag_codes: NDArray[np.int32]
    fingerprints: tuple[str, ...]
    fingerprint_codes: NDArray[np.int32]

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Whether a row has a score."""
        return ~np.isnan(self.scores)

    @property
    def coverage(self) -> float:
        """Share of the rows asked for that have a score, in [0, 1]; 0 if none was asked for."""
        return float(self.scored.sum() / max(int(self.asked.sum()), 1))

    @property
    def shares(self) -> Floats:
        """The scores as shares of their scale, in [0, 1]; NaN where there is none."""
        return (self.scores - self.scale.minimum) / (self.scale.maximum - self.scale.minimum)

    def flags_of(self, row: int) -> tuple[str, ...]:
        """The flags of a row."""
        return self.flag_sets[self.flag_codes[row]]

    def reason_of(self, row: int) -> str | None:
        """Why a row has no score; None where it has one, or was not asked for."""
        code = int(self.reason_codes[row])
        return None if code < 0 else self.reasons[code]

    def flagged(self, flag: str | None = None) -> NDArray[np.bool_]:
        """Whether a row has a flag, or any flag at all if None is named."""
        has = [bool(flags) if flag is None else flag in flags for flags in self.flag_sets]
        return np.array(has, dtype=np.bool_)[self.flag_codes]

    def as_binary(self) -> ScoreColumn:
        """The same as low or high quality, 0 or 1: high is above the middle of the scale.

        It is the score that is high or low, and the label follows it. Probabilities of other labels
        say nothing of this one: the confidence is NaN.
        """
        if self.scale == BINARY:
            return self
        high = np.where(self.scored, self.scores > self.scale.middle, np.nan)
        nothing = np.full(len(high), np.nan)
        return replace(self, scale=BINARY, scores=high, labels=high, confidence=nothing)


@dataclass(frozen=True)
class RowPlaces:
    """Where the rows stand in their files, [rows].

    Attributes:
        sources: Number of the file in `ScoreTable.sources`.
        offsets: Where the line begins, in bytes of the unpacked file.
        lines: Number of the line, from 1.
        items: Number of the row in its line: lines of sample logs hold several responses.
    """

    sources: NDArray[np.int32]
    offsets: NDArray[np.int64]
    lines: NDArray[np.int64]
    items: NDArray[np.int32]


@dataclass(frozen=True)
class ScoreTable:
    """Scores of responses; see `read_score_table`.

    Attributes:
        sources: The files read.
        problems: The name of each row's problem, [rows]: rows of one problem share it.
        problem_codes: The same as numbers from 0, [rows].
        ids: What the files call each row's problem, [rows].
        models: The model that wrote each response, None where nothing says so, [rows].
        datasets: The data set of each row, None where nothing says so, [rows].
        question_hashes: Hash of each question, [rows].
        response_hashes: Hash of each response, [rows].
        lengths: Characters of each response, [rows].
        columns: The scores, by judge and key of the criterion.
        outcomes: Columns of numbers that were asked for, such as exact_match; NaN where there is
            none, [rows].
        places: Where the rows stand in their files.
        repeated: How many rows have the question and response of an earlier one.
        dropped: How many lines say only what an earlier line says.
        refused: Why a column or an outcome that was found cannot be used.
        judge_sources: The file or files, by number in `sources`, of each judge.
    """

    sources: tuple[Source, ...]
    problems: list[str]
    problem_codes: NDArray[np.intp]
    ids: list[str]
    models: list[str | None]
    datasets: list[str | None]
    question_hashes: NDArray[np.uint64]
    response_hashes: NDArray[np.uint64]
    lengths: NDArray[np.int64]
    columns: Mapping[tuple[str, str], ScoreColumn]
    outcomes: Mapping[str, Floats]
    places: RowPlaces
    repeated: int = 0
    dropped: int = 0
    refused: Mapping[tuple[str, str] | str, str] = field(default_factory=dict)
    judge_sources: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many responses there are."""
        return len(self.ids)

    @property
    def judges(self) -> list[str]:
        """The names of the judges, in the order of the files."""
        return list(self.judge_sources)

    @property
    def keys(self) -> list[str]:
        """The keys of the criteria, in the order of tables."""
        return in_table_order(key for _, key in [*self.columns, *self._refused_columns()])

    def keys_of(self, judge: str) -> list[str]:
        """The keys of the criteria that a judge was asked for, in the order of tables."""
        found = [*self.columns, *self._refused_columns()]
        return in_table_order(key for name, key in found if name == judge)

    def flags_by(self, judge: str) -> frozenset[str]:
        """The flags that a judge's scores have."""
        columns = [column for (name, _), column in self.columns.items() if name == judge]
        return frozenset(flag for each in columns for flags in each.flag_sets for flag in flags)

    def total_columns(self, judge: str, keys: Sequence[str] | None = None) -> list[ScoreColumn]:
        """The scores that make up a judge's total: all but whether the solution is right.

        Args:
            judge: The judge.
            keys: The criteria to sum up; None for all that the judge has.

        Raises:
            DataError: If there are none on one of them.
        """
        columns = [self.column(judge, key) for key in keys or self.keys_of(judge)]
        return [each for each in columns if counts_in_total(each.key, *each.fingerprints[:1])]

    def column(self, judge: str, key: str) -> ScoreColumn:
        """Return the scores of a judge on a criterion.

        Raises:
            DataError: If there are none, or they cannot be used.
        """
        if (judge, key) in self.refused:
            raise DataError(self.refused[judge, key])
        if (judge, key) not in self.columns:
            if judge not in self.judge_sources:
                raise DataError(one_of(judge, self.judges, "judge"))
            raise DataError(f"{judge}: {one_of(key, self.keys_of(judge), 'criterion')}")
        return self.columns[judge, key]

    def outcome(self, name: str) -> Floats:
        """Return a column of numbers that was asked for.

        Raises:
            DataError: If no row has it, or it cannot be used.
        """
        if name in self.refused:
            raise DataError(self.refused[name])
        if name not in self.outcomes:
            raise DataError(
                f"No row has a number or true/false in the field {name!r}; give the name of one "
                "that the files have."
            )
        return self.outcomes[name]

    def where(self, row: int) -> str:
        """Say where a row stands, for messages."""
        path = self.sources[self.places.sources[row]].path
        return f"{path}, line {self.places.lines[row]}"

    def read_rows(self, rows: Iterable[int]) -> dict[int, dict[str, Any]]:
        """Read chosen rows again, in full.

        A row has the judgements of the file that it was first met in; those of other files stand in
        the columns.

        Args:
            rows: Which rows, in any order.

        Returns:
            The rows as their files hold them (those of sample logs as rows of the judgement
            format), by number, in the order asked for.

        Raises:
            DataError: If a file has changed since.
        """
        wanted = list(dict.fromkeys(int(row) for row in rows))
        found: dict[int, dict[str, Any]] = {}
        by_source: dict[int, list[int]] = {}
        for row in wanted:
            by_source.setdefault(int(self.places.sources[row]), []).append(row)
        for source, chosen in by_source.items():
            chosen.sort(key=lambda row: int(self.places.offsets[row]))
            found |= self._read_again(self.sources[source].path, chosen)
        return {row: found[row] for row in wanted}

    def _read_again(self, path: Path, rows: Sequence[int]) -> dict[int, dict[str, Any]]:
        found = {}
        try:
            with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
                for row in rows:
                    file.seek(int(self.places.offsets[row]))
                    line = json.loads(file.readline())
                    inner = list(rows_of(line, self.where(row)))
                    found[row] = dict(inner[self.places.items[row]])
        except (OSError, EOFError, ValueError, LookupError, AttributeError) as error:
            raise DataError(f"{path} has changed while it was read ({error}).") from error
        return found

    def _refused_columns(self) -> list[tuple[str, str]]:
        return [name for name in self.refused if isinstance(name, tuple)]


def read_score_table(
    sources: Sequence[Source | Path | str],
    *,
    criteria: Sequence[Criterion] | None = None,
    outcomes: Sequence[str] = (),
) -> ScoreTable:
    """Read the scores of several files, and join them by response.

    Reads whatever `read_stored_rows` reads: judgement files, short rows of people's scores (whose
    field `annotator` names who scored; else the file's name does) and sample logs of our tasks,
    plain or gzipped. With `outcomes`, also rows that have nothing but question, response and one
    of these fields.

    A judge that is named alike in several files is one judge where the files hold different
    responses, and several, told apart by the file's name, where they hold the same. A response that
    occurs several times in a file (two models may say the same) is a row each time; scores of a
    file that has it once hold for all of these, unless both name different models.

    Args:
        sources: The files.
        criteria: Criteria with the scales of scores whose rows do not say; those of keys that
            neither these nor `roscoe` have are read on 1-5.
        outcomes: Fields of the rows to read as numbers, such as exact_match; a.b for the field b
            within a. In sample logs "exact_match,strict-match" is that of a filter.

    Raises:
        DataError: If a file cannot be read, is malformed, or holds no scores.
    """
    from inspector_plugin.data.score_reader import read

    given = [each if isinstance(each, Source) else Source(Path(each)) for each in sources]
    return read(given, criteria or (), tuple(outcomes))
