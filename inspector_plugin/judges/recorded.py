"""Stored scores as a judge: the scores of people, or of a large model asked earlier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from inspector_plugin.data.jsonl import file_sha256
from inspector_plugin.data.stored_scores import StoredScore, read_stored_scores
from inspector_plugin.errors import DataError, OptionError
from inspector_plugin.judging.judge import Judge
from inspector_plugin.plugins.options import Backend, option
from inspector_plugin.schema.criteria import BINARY, LABELS, Criterion
from inspector_plugin.schema.records import (
    CriterionScore,
    Judgement,
    JudgeRequest,
    unscored,
)

NOT_RECORDED = "no score is recorded for this question, response and criterion"
NOT_RECORDED_OF_QUESTION = "no score is recorded for this question and criterion"
DIFFERENT = "rows of this question hold different scores; keep one of them"
_Key = tuple[str, str, str]


@dataclass(frozen=True)
class RecordedOptions:
    """The options of the judge `recorded`."""

    path: str | None = option(
        None, "file of stored scores: a judgement file, short rows, or a sample log; required"
    )
    scored_by: str | None = option(
        None, "whose scores to take, where the file has those of several judges"
    )
    labels: str = option(
        "multiclass", "scores as stored, or low/high quality (high: above the midpoint)", LABELS
    )


RECORDED = Backend(
    name="recorded",
    summary="stored scores, joined by question and response text",
    factory="inspector_plugin.judges.recorded:RecordedJudge",
    options=RecordedOptions,
)


class RecordedJudge(Judge):
    """Gives the scores stored in a file, joined by question and response text.

    Texts are joined as they are, apart from white space at their ends. On criteria that judge the
    question alone, rows are joined by the question, whatever their responses. A stored score may
    lie between the labels (a mean of several raters); its label is the nearest one, halves rounded
    up. With binary labels a score above the midpoint of its scale is high.
    """

    rubric_form = "recorded"  # a rubric's scores are looked up as any others
    question_form = "recorded"

    def __init__(self, options: RecordedOptions) -> None:
        """Read and check the whole file.

        Args:
            options: The file and how to read it; docs/judgement-format.md describes the formats.

        Raises:
            OptionError: If no path is given.
            DataError: If a row is malformed, or one response has two scores for one criterion.
        """
        if not options.path:
            raise OptionError(
                "Judge 'recorded' needs the file of stored scores: recorded:path=FILE."
            )
        self._binary = options.labels == "binary"
        self.scale = BINARY if self._binary else None
        self._stored = _read(options.path, options.scored_by)
        self._description = {
            "path": options.path,
            "sha256": file_sha256(options.path),
            "scored_by": options.scored_by,
            "scores": len(self._stored),
            "labels": options.labels,
        }

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        """Look the scores up; see `Judge.judge`."""
        return [
            Judgement({each.key: self._look_up(request, each) for each in request.criteria})
            for request in requests
        ]

    def describe(self) -> Mapping[str, Any]:
        """Name the file, its content's hash and the labels."""
        return self._description

    def _look_up(self, request: JudgeRequest, criterion: Criterion) -> CriterionScore:
        found = self._found(request, criterion)
        if not found:
            return unscored(NOT_RECORDED_OF_QUESTION if criterion.of_question else NOT_RECORDED)
        if len({each.score for each in found}) > 1:
            return unscored(DIFFERENT)
        stored = found[0]
        misfit = stored.misfit(criterion)
        if misfit is not None:
            return unscored(misfit)
        if stored.score is None:
            return unscored(f"the file holds no score: {stored.reason}")
        scale = stored.scale or criterion.scale
        score = CriterionScore(
            stored.score,
            scale.nearest(stored.score),
            explanation=stored.explanation,
            scale=scale,
            items=stored.items if criterion.is_rubric else None,
        )
        return score.as_binary(scale) if self._binary else score

    def _found(self, request: JudgeRequest, criterion: Criterion) -> list[StoredScore]:
        """What is stored: of a response one score at most, of a question one for each row."""
        if not criterion.of_question:
            stored = self._stored.get(_key(request.question, request.response, criterion.key))
            return [] if stored is None else [stored]
        rows = self._of_questions.get((request.question.strip(), criterion.key), [])
        rows = [each for each in rows if each.misfit(criterion) is None] or rows[:1]
        return [each for each in rows if each.score is not None] or rows[:1]

    @cached_property
    def _of_questions(self) -> dict[tuple[str, str], list[StoredScore]]:
        """What is stored for any response to a question, by question and key of the criterion."""
        stored: dict[tuple[str, str], list[StoredScore]] = {}
        for (question, _, key), score in self._stored.items():
            stored.setdefault((question, key), []).append(score)
        return stored


def _read(path: str, scored_by: str | None) -> dict[_Key, StoredScore]:
    scores: dict[_Key, StoredScore] = {}
    for stored in read_stored_scores(path, scored_by):
        key = _key(stored.question, stored.response, stored.key)
        first = scores.setdefault(key, stored)
        if first.score is None:
            scores[key] = stored
        elif stored.score not in (None, first.score):
            raise DataError(
                f"{stored.where}: {stored.key} of this response is scored {stored.score:g}, but "
                f"{first.score:g} in an earlier line; keep one of the two."
            )
    return scores


def _key(question: str, response: str, criterion: str) -> _Key:
    return question.strip(), response.strip(), criterion
