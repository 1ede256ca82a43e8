"""Stored scores as a judge: the scores of people, or of a large model asked earlier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inspector_plugin.errors import DataError, OptionError, one_of
from inspector_plugin.judge import Judge
from inspector_plugin.rows import file_sha256
from inspector_plugin.schema import (
    BINARY,
    MULTICLASS,
    SCALES,
    AspectScore,
    Judgement,
    JudgeRequest,
    unscored,
)
from inspector_plugin.scored import iterate_scored

NOT_RECORDED = "no score is recorded for this question, response and aspect"
_Key = tuple[str, str, str]


class RecordedJudge(Judge):
    """Gives the scores stored in a file, joined by question and response text.

    Texts are joined as they are, apart from white space at their ends. A stored score may lie
    between the labels (a mean of several raters); its label is the nearest one, 3.5 counting as 4.
    With binary labels a score above 3 is high: label and score are 1, else 0.
    """

    def __init__(self, path: str | None, labels: str = "multiclass") -> None:
        """Read and check the whole file.

        Args:
            path: JSONL file, plain or gzipped, with rows of `question`, `response` (or
                `prediction`), `aspect` and `score`, a number in [1, 5].
            labels: "multiclass" or "binary".

        Raises:
            OptionError: If no path is given, or the labels are unknown.
            DataError: If a row is malformed, or one response has two scores for one aspect.
        """
        if not path:
            raise OptionError(
                "Judge 'recorded' needs the file of stored scores: recorded:path=FILE."
            )
        if labels not in SCALES:
            raise OptionError(one_of(labels, SCALES, "labels"))
        self.scale = SCALES[labels]
        self._scores = _read_scores(path)
        self._source = {"path": path, "sha256": file_sha256(path)}

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        """Look the scores up; see `Judge.judge`."""
        return [
            Judgement({aspect: self._look_up(request, aspect) for aspect in request.aspects})
            for request in requests
        ]

    def describe(self) -> Mapping[str, Any]:
        """Name the file, its content's hash and the labels."""
        return {**self._source, "scores": len(self._scores), "labels": self.scale.name}

    def _look_up(self, request: JudgeRequest, aspect: str) -> AspectScore:
        score = self._scores.get(_key(request.question, request.response, aspect))
        if score is None:
            return unscored(NOT_RECORDED)
        if self.scale == BINARY:
            high = int(score > MULTICLASS.middle)
            return AspectScore(score=float(high), label=high)
        return AspectScore(score=score, label=self.scale.nearest(score))


def _read_scores(path: str) -> dict[_Key, float]:
    scores: dict[_Key, float] = {}
    for where, row in iterate_scored(path):
        key = _key(row.question, row.response, row.aspect)
        if scores.setdefault(key, row.score) != row.score:
            raise DataError(
                f"{where}: {row.aspect} of this response is scored {row.score:g}, but "
                f"{scores[key]:g} in an earlier line; keep one of the two."
            )
    return scores


def _key(question: str, response: str, aspect: str) -> _Key:
    return question.strip(), response.strip(), aspect
