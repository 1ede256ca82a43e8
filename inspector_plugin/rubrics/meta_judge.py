"""The meta-judge: any judge that is asked about a rubric in place of a response."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inspector_plugin.data.labelled import LabelledProblem
from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.run import judge_all
from inspector_plugin.rubrics.candidates import write_items
from inspector_plugin.rubrics.rewards import Reward
from inspector_plugin.schema.criteria import Criterion
from inspector_plugin.schema.records import JudgeRequest
from inspector_plugin.schema.rubrics import RubricItem

_SUBJECT = (
    "What is judged is a rubric for responses to all problems of a data set, of which some are "
    "given: statements that a judge answers by yes or no for each response. "
)
# Source: the four qualities are those of Dynamic Rubrics (arXiv 2605.30568); the wording is ours.
QUALITIES = tuple(
    Criterion(f"data_set_rubric_{key}", f"{key.capitalize()} of the rubric", _SUBJECT + definition)
    for key, definition in (
        (
            "specificity",
            "Its statements are concrete enough that two judges who see one response would give "
            "the same answers.",
        ),
        (
            "coverage",
            "Its statements cover all that makes a response to such a problem good, and nothing "
            "twice.",
        ),
        (
            "discrimination",
            "Its statements hold for good responses and fail for weak ones; none is true, or "
            "false, of nearly every response.",
        ),
        (
            "fit",
            "It asks for what counts in this field and kind of problem, and for nothing that does "
            "not matter or is wrong.",
        ),
    )
)
_MOST_CHARACTERS = 600


def rating_requests(
    problems: Sequence[LabelledProblem], rubrics: Sequence[Sequence[RubricItem]]
) -> list[JudgeRequest]:
    """Ask what a rubric is worth: a request for each, on all four qualities.

    Args:
        problems: Some problems of the data set.
        rubrics: The items of each rubric.
    """
    given = "\n\n".join(
        f"Problem {number}: {problem.question[:_MOST_CHARACTERS]}"
        for number, problem in enumerate(problems, 1)
    )
    return [JudgeRequest(given, write_items(items), QUALITIES) for items in rubrics]


def rated(
    problems: Sequence[LabelledProblem],
    rubrics: Sequence[Sequence[RubricItem]],
    judge: Judge,
    cache: JudgeCache | None,
    name: str = "meta-judge",
) -> list[Reward]:
    """Rate rubrics by what a judge says of their specificity, coverage, discrimination and fit.

    Args:
        problems: Some problems of the data set.
        rubrics: The items of each rubric.
        judge: Any judge that takes criteria.
        cache: Where judgements are kept.
        name: What messages call the judge.

    Returns:
        For each rubric the mean of the four scores, as a share of the scale; without a value, and
        with the reason, where one of the four is missing.
    """
    requests = rating_requests(problems, rubrics)
    rewards = []
    for judgement in judge_all(judge, requests, name=name, cache=cache):
        shares: list[float] = []
        reason: str | None = None
        for criterion in QUALITIES:
            score = judgement.scores[criterion.key]
            scale = score.scale or criterion.scale
            if score.score is None:
                reason = str(score.reason)
                break
            shares.append((score.score - scale.minimum) / (scale.maximum - scale.minimum))
        rewards.append(
            Reward(float(np.mean(shares))) if reason is None else Reward(None, 0, reason)
        )
    return rewards
