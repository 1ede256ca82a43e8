"""The scores of an audit: a few numbers for each response, however long the responses are."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.audits.edits import CALCULATION
from inspector_plugin.audits.run import value_of
from inspector_plugin.data.problems import problem_identity, problem_names
from inspector_plugin.schema.criteria import TOTAL, Scale
from inspector_plugin.schema.records import CriterionScore, Judgement, total_usage
from inspector_plugin.schema.roscoe import ROSCOE_KEYS
from inspector_plugin.schema.usage import Usage

OTHER_SCALE = "the score is on another scale than the first one of its criterion"
_OF_SEVERAL = {TOTAL: ROSCOE_KEYS, CALCULATION: tuple(CALCULATION.split("+"))}


class Scored:
    """The scores of one version of each response: unedited, edited in one way, or judged again.

    Attributes:
        made: Whether there is such a version of each row's response, 0 or 1.
    """

    def __init__(self, measures: Sequence[str], criteria: Sequence[str]) -> None:
        """Begin without rows."""
        self.made = bytearray()
        self._scores = {measure: array("d") for measure in measures}
        self._labels = {key: array("f") for key in criteria}

    def add(self, judgement: Judgement | None) -> None:
        """Take in the judgement of the next row; None if there is no such version of it."""
        self.made.append(judgement is not None)
        for measure, scores in self._scores.items():
            value = None if judgement is None else value_of(judgement, measure)
            scores.append(np.nan if value is None else value)
        for key, labels in self._labels.items():
            score = None if judgement is None else judgement.scores[key]
            labels.append(np.nan if score is None or score.label is None else score.label)

    def scores(self, measure: str) -> NDArray[np.float64]:
        """The scores of a measure, NaN for none, [rows]."""
        return np.array(self._scores[measure], dtype=np.float64)

    def labels(self, measure: str) -> NDArray[np.float64]:
        """The labels of a criterion, NaN for none, [rows]; all NaN for what is made of several."""
        if measure not in self._labels:
            return np.full(len(self.made), np.nan)
        return np.array(self._labels[measure], dtype=np.float64)


class Scores:
    """All scores of an audit.

    Attributes:
        criteria: The keys of the criteria judged.
        measures: The criteria, and what is made of several where all are judged: "total", and
            "logicality+factuality", the mean.
        original: The unedited responses.
        edited: The edited ones by edit.
        repeats: The unedited ones, judged again.
        numbers: The number of each row, see `AuditRow`.
        scales: The scale of each criterion's scores.
        reasons: Why scores are missing, and how many.
        asked: Number of scores asked for.
        given: Number of scores that the judge gave.
        usage: What the judge counted; None if it does not count.
    """

    def __init__(self, criteria: Sequence[str], edits: Iterable[str], repeats: int) -> None:
        """Begin without rows.

        Args:
            criteria: The keys of the criteria.
            edits: The keys of the edits.
            repeats: How often unedited responses are judged again.
        """
        several = [each for each, parts in _OF_SEVERAL.items() if set(parts) <= set(criteria)]
        self.criteria = tuple(criteria)
        self.measures = (*criteria, *several)
        self.original = self._new()
        self.edited = {key: self._new() for key in edits}
        self.repeats = [self._new() for _ in range(repeats)]
        self.numbers = array("q")
        self.scales: dict[str, Scale] = {}
        self.reasons: Counter[str] = Counter()
        self.asked = self.given = 0
        self.usage: Usage | None = None
        self._ids: list[str] = []
        self._identities: list[str] = []

    def begin_row(self, number: int, question: str, id: str | None) -> None:
        """Say of which row the next judgements are."""
        self.numbers.append(number)
        self._identities.append(problem_identity(question))
        self._ids.append(self._identities[-1] if id is None else id)

    def add(self, scored: Scored, judgement: Judgement | None) -> None:
        """Take in the judgement of a version of the row; None if there is no such version."""
        if judgement is None:
            scored.add(None)
            return
        self.usage = total_usage([Judgement({}, self.usage), judgement])
        scored.add(Judgement({key: self._checked(key, s) for key, s in judgement.scores.items()}))

    def problems(self) -> NDArray[np.intp]:
        """The number of each row's problem, [rows]."""
        names = problem_names(self._ids, self._identities)
        numbers: dict[str, int] = {}
        return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.intp)

    def span(self, measure: str) -> float:
        """How far the ends of a measure's scale lie apart; 1 where nothing was scored."""
        spans = [
            float(self.scales[key].maximum - self.scales[key].minimum)
            for key in _OF_SEVERAL.get(measure, (measure,))
            if key in self.scales
        ]
        return (sum(spans) if measure == TOTAL else spans[0]) if spans else 1.0

    def _new(self) -> Scored:
        return Scored(self.measures, self.criteria)

    def _checked(self, key: str, score: CriterionScore) -> CriterionScore:
        """Count a score; one on another scale cannot be compared, and counts as missing."""
        self.asked += 1
        if score.score is not None and score.scale is not None:
            if self.scales.setdefault(key, score.scale) == score.scale:
                self.given += 1
                return score
            score = CriterionScore(None, reason=OTHER_SCALE)
        self.reasons[score.reason or OTHER_SCALE] += 1
        return score
