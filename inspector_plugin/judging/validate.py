"""Checking what a judge returns, and completing it: the one place for judgements of any judge."""

from __future__ import annotations

from dataclasses import replace

from inspector_plugin.errors import JudgeError
from inspector_plugin.judging.judge import Judge
from inspector_plugin.schema.criteria import BINARY, Criterion, Scale
from inspector_plugin.schema.records import CriterionScore, Judgement, JudgeRequest

_DIGITS = 4
_BUG = "this is a bug in the judge"


def completed(judge: Judge, request: JudgeRequest, answer: Judgement, name: str) -> Judgement:
    """Check a judgement, and write scale and fingerprint into its scores.

    Scores and probabilities are rounded to four digits here, so that tables, files and caches
    agree to the last digit.

    Args:
        judge: Whose judgement it is.
        request: What was asked.
        answer: The judgement as the judge returned it.
        name: What messages call the judge.

    Raises:
        JudgeError: If criteria are missing or were not asked for, or a score, a label or a scale
            is not one that the criterion allows.
    """
    if set(answer.scores) != set(request.keys):
        raise JudgeError(
            f"Judge {name!r} was asked for {sorted(request.keys)} and judged "
            f"{sorted(answer.scores)}; {_BUG}."
        )
    scores = {
        criterion.key: _completed(judge, criterion, answer.scores[criterion.key], name)
        for criterion in request.criteria
    }
    return Judgement(scores, answer.usage)


def _completed(
    judge: Judge, criterion: Criterion, score: CriterionScore, name: str
) -> CriterionScore:
    scale = score.scale or judge.scale or criterion.scale
    if scale not in (criterion.scale, BINARY):
        raise JudgeError(
            f"Judge {name!r} scored {criterion.key} on {scale.name}, and its criterion is on "
            f"{criterion.scale.name}; {_BUG}."
        )
    if score.score is not None:
        _check(scale, criterion, score, name)
    return replace(
        score,
        score=None if score.score is None else round(float(score.score), _DIGITS),
        probabilities=None
        if score.probabilities is None
        else {label: round(float(p), _DIGITS) for label, p in score.probabilities.items()},
        scale=scale,
        fingerprint=criterion.fingerprint,
    )


def _check(scale: Scale, criterion: Criterion, score: CriterionScore, name: str) -> None:
    if score.score not in scale:
        raise JudgeError(
            f"Judge {name!r} scored {criterion.key} {score.score}, outside its scale "
            f"{scale.name}; {_BUG}."
        )
    if score.label not in scale.labels:
        raise JudgeError(
            f"Judge {name!r} scored {criterion.key} with the label {score.label}, not one of "
            f"{scale.labels}; {_BUG}."
        )
