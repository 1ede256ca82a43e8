"""Scores of responses under one condition: each by itself, in pairs, and stuffed with words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inspector_plugin.data.labelled import LabelledProblem
from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.run import judge_all
from inspector_plugin.rubrics.conditions import stuffed
from inspector_plugin.rubrics.pairwise import PREFERENCE, side_by_side
from inspector_plugin.rubrics.verdicts import RESPONSES_AT_ONCE
from inspector_plugin.schema.criteria import Criterion
from inspector_plugin.schema.records import JudgeRequest, total_usage
from inspector_plugin.schema.usage import Usage

NO_CRITERION = "there is no rubric for the problem"


@dataclass
class Asking:
    """A judge that is asked for scores.

    Attributes:
        judge: The judge.
        name: What progress calls it.
        cache: Where judgements are kept.
        usage: What it has cost so far; None if the judge does not count.
    """

    judge: Judge
    name: str = "judge"
    cache: JudgeCache | None = None
    usage: Usage | None = None

    def values(
        self, requests: Sequence[JudgeRequest], what: str, reasons: Counter[str]
    ) -> list[float]:
        """Judge requests of one criterion each.

        Args:
            requests: The requests.
            what: What progress calls them.
            reasons: Takes in why scores are missing.

        Returns:
            The scores; NaN where there is none.
        """
        judged = judge_all(
            self.judge,
            requests,
            name=f"{self.name}, {what}",
            cache=self.cache,
            chunk_size=RESPONSES_AT_ONCE,
        )
        spent = total_usage(judged)
        if spent is not None:
            self.usage = spent + (self.usage or Usage())
        values = []
        for request, judgement in zip(requests, judged, strict=True):
            score = judgement.scores[request.criteria[0].key]
            if score.score is None:
                reasons[str(score.reason)] += 1
            values.append(np.nan if score.score is None else score.score)
        return values


@dataclass
class Scores:
    """The scores of one condition: for each row, of each response; NaN where there is none."""

    of: list[list[float]]
    reasons: Counter[str]


def score_apart(
    asking: Asking,
    problems: Sequence[LabelledProblem],
    criteria: Sequence[Criterion | None],
    what: str,
) -> Scores:
    """Score each response by itself.

    Args:
        asking: The judge.
        problems: The problems.
        criteria: What to judge by, for each problem; None where there is nothing.
        what: What progress calls it.
    """
    asked = [
        (row, place, _request(problem, response, criterion))
        for row, (problem, criterion) in enumerate(zip(problems, criteria, strict=True))
        for place, response in enumerate(problem.responses)
        if criterion is not None
    ]
    scores = Scores([[np.nan] * len(each.responses) for each in problems], Counter())
    missing = sum(
        len(problem.responses)
        for problem, criterion in zip(problems, criteria, strict=True)
        if criterion is None
    )
    if missing:
        scores.reasons[NO_CRITERION] = missing
    values = asking.values([request for _, _, request in asked], what, scores.reasons)
    for (row, place, _), value in zip(asked, values, strict=True):
        scores.of[row][place] = value
    return scores


def score_pairs(asking: Asking, problems: Sequence[LabelledProblem], what: str) -> Scores:
    """Show the best and the worst response at once, in both orders, and average.

    Returns:
        Scores from 0 to 1 for the two, summing to 1.
    """
    asked: list[tuple[int, int, int, JudgeRequest]] = []
    for row, problem in enumerate(problems):
        if problem.contrast is not None:
            for first, second in (problem.contrast, problem.contrast[::-1]):
                text = side_by_side(problem.responses[first], problem.responses[second])
                asked.append((row, first, second, _request(problem, text, PREFERENCE)))
    scores = Scores([[np.nan] * len(each.responses) for each in problems], Counter())
    values = asking.values([each[3] for each in asked], what, scores.reasons)
    for place in range(0, len(asked), 2):
        (row, better, worse, _), forwards, backwards = asked[place], *values[place : place + 2]
        # A score of 1 is for the first and 2 for the second, so that s - 1 is the second's share.
        share = ((2 - forwards) + (backwards - 1)) / 2
        scores.of[row][better], scores.of[row][worse] = share, 1 - share
    return scores


def exploited(
    asking: Asking,
    problems: Sequence[LabelledProblem],
    criteria: Sequence[Criterion | None],
    scores: Scores,
    what: str,
) -> list[float]:
    """Say of each row whether its worse response, with the rubric's words, beats the better one.

    Returns:
        1, 0, or NaN where a score is missing or no two labels differ.
    """
    asked = [
        (row, problem.contrast, _request(problem, stuffed(text, criterion), criterion))
        for row, (problem, criterion) in enumerate(zip(problems, criteria, strict=True))
        if criterion is not None and problem.contrast is not None
        for text in [problem.responses[problem.contrast[1]]]
    ]
    values = asking.values([request for _, _, request in asked], what, Counter())
    wins = [np.nan] * len(problems)
    for (row, contrast, _), value in zip(asked, values, strict=True):
        better = scores.of[row][contrast[0]]
        if not np.isnan(better) and not np.isnan(value):
            wins[row] = float(value > better)
    return wins


def _request(problem: LabelledProblem, response: str, criterion: Criterion) -> JudgeRequest:
    return JudgeRequest(
        problem.question, response, (criterion,), dataset=problem.dataset, id=problem.id
    )
