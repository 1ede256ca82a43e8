"""What data tell of a rubric: problems, their answers, and judges' verdicts on items."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.data.jsonl import read_rows
from inspector_plugin.data.problems import problem_identity
from inspector_plugin.data.stored_scores import (
    JUDGEMENTS,
    RESPONSE_FIELDS,
    judgements_of,
    rows_of,
)
from inspector_plugin.errors import DataError
from inspector_plugin.rubrics.nonsense import words_of
from inspector_plugin.schema.criteria import Criterion
from inspector_plugin.schema.rubrics import ItemVerdict, RubricItem

_ANSWER_FIELDS = ("answer", "target", "reference", "solution", "gold")
_QUESTION_FIELDS = ("question", "problem", "prompt")
# GSM8K's answers end in "#### 29", those of MATH stand in a box.
_FINAL = re.compile(r"####\s*(.+?)\s*\Z|\\boxed\{([^{}]+)\}")
_LONGEST_ANSWER = 60


@dataclass
class LintData:
    """What is known from data.

    Attributes:
        problems: The problems by name, each with its text and its answer ("" where not known).
        rows: How many rows there were.
    """

    problems: dict[str, tuple[str, str]] = field(default_factory=dict)
    rows: int = 0
    _passages: dict[str, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    # What each judge said of each response on items, by the key of the rubric.
    _judged: dict[str, list[Mapping[str, ItemVerdict]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def answers(self, problem: str | None) -> Sequence[tuple[str, str]]:
        """Texts and answers of one problem, or of all; without those that are not known."""
        if problem is None:
            return [pair for pair in self.problems.values() if pair[1]]
        pair = self.problems.get(problem)
        return [pair] if pair is not None and pair[1] else []

    def passages(self, problem: str | None) -> Sequence[str]:
        """What one problem, or all, and the responses say, as `nonsense.words_of` gives it."""
        if problem is None:
            return [passage for known in self._passages.values() for passage in known]
        return list(self._passages.get(problem, ()))

    def verdicts(self, criterion: Criterion, item: RubricItem) -> NDArray[np.float64]:
        """The verdicts on an item of a rubric, response by response; NaN where it was not read."""
        stored = [judged.get(item.key) for judged in self._judged.get(criterion.key, [])]
        return np.array(
            [np.nan if v is None or v.value is None else v.value for v in stored], dtype=float
        )

    def add(self, row: Mapping[str, Any], where: str, fingerprints: Mapping[str, str]) -> None:
        """Take a row in.

        Args:
            row: The row.
            where: Where it stands.
            fingerprints: Of the rubric, by key: verdicts on other rubrics are left out.

        Raises:
            DataError: If its judgements cannot be read.
        """
        self.rows += 1
        question = next(
            (row[name] for name in _QUESTION_FIELDS if isinstance(row.get(name), str)), ""
        )
        if question.strip():
            problem = problem_identity(question)
            if not self.problems.get(problem, ("", ""))[1]:
                self.problems[problem] = (question, _answer(row))
            for text in (question, *_responses(row)):
                self._passages[problem][words_of(text)] = None
        if JUDGEMENTS not in row:
            return
        for judgement in judgements_of(row, where).values():
            for key, score in judgement.scores.items():
                if fingerprints.get(key) != score.fingerprint:
                    continue
                self._judged[key].append(score.items or {})


def read_lint_data(path: Path, criterion: Criterion) -> LintData:
    """Read the data to check a rubric against.

    Args:
        path: A JSONL file, plain or gzipped: problems with or without answers and responses, a
            judgement file or a sample log.
        criterion: The rubric.

    Raises:
        DataError: If it cannot be read, or holds no row with a problem.
    """
    data = LintData()
    for number, line in read_rows(path):
        where = f"{path}, line {number}"
        for row in rows_of(line, where):
            data.add(row, where, {criterion.key: criterion.fingerprint})
    if not data.problems:
        raise DataError(
            f"{path}: no row has a problem; give rows with one of the fields "
            f"{', '.join(_QUESTION_FIELDS)}."
        )
    return data


def _responses(row: Mapping[str, Any]) -> Sequence[str]:
    """The responses that a row holds."""
    given = [*(row.get(name) for name in RESPONSE_FIELDS), *_listed(row.get("responses"))]
    return [text for text in given if isinstance(text, str)]


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _answer(row: Mapping[str, Any]) -> str:
    """The final answer that a row gives for its problem; "" if it gives none."""
    for name in _ANSWER_FIELDS:
        value = row.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return str(value)
        if isinstance(value, str) and value.strip():
            final = _FINAL.findall(value)
            if final:
                return str(next(text for text in final[-1] if text))
            if len(value) <= _LONGEST_ANSWER and "\n" not in value.strip():
                return value.strip()
    return ""
