"""How good candidate rubrics are: rewards, and the pairs of rubrics that a generator learns from.

Where people have labelled responses, a rubric is good if a judge that goes by it orders them as
people do. Elsewhere a judge rates the rubric itself. The two kinds of reward are never mixed.

Source: the rewards follow Dynamic Rubrics (arXiv 2605.30568) and OpenRubrics (2510.07743); matching
lengths is ours, as rubrics and judges both favour what is long.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from inspector_plugin.data.labelled import LabelledProblem
from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.run import judge_all
from inspector_plugin.rubrics.candidates import Candidate, write_items
from inspector_plugin.schema.criteria import Criterion
from inspector_plugin.schema.records import Judgement, JudgeRequest

LABELS, META_JUDGE = "labels", "meta-judge"
# Pair accuracy of a rubric that says nothing.
CHANCE = 0.5
LENGTH_RATIO = 1.5
META_CRITERIA = tuple(
    Criterion(f"rubric_{key}", f"{key.capitalize()} of the rubric", definition)
    for key, definition in (
        (
            "specificity",
            "What is judged is a rubric for responses to the question: statements that a judge "
            "answers by yes or no. Its statements speak of this question, and are concrete enough "
            "that two judges would give the same answers.",
        ),
        (
            "coverage",
            "What is judged is a rubric for responses to the question. Its statements cover all "
            "that makes a response to this question good, and nothing twice.",
        ),
        (
            "discrimination",
            "What is judged is a rubric for responses to the question. Its statements hold for "
            "good responses and fail for weak ones; none is true, or false, of nearly every "
            "response.",
        ),
        (
            "fit",
            "What is judged is a rubric for responses to the question. It asks for what counts in "
            "this field and kind of task, and for nothing that does not matter or is wrong.",
        ),
    )
)


@dataclass(frozen=True)
class Reward:
    """How good a rubric is.

    Attributes:
        value: From 0 to 1; None if it could not be had. Of labels: pair accuracy, or Spearman's
            correlation with the labels mapped to 0 to 1. Of the meta-judge: the mean of its scores,
            as a share of the scale.
        margin: By how much better responses score above worse ones, as a share of the scale; it
            decides between equal values only. 0 for the meta-judge.
        reason: Why there is no value; None where there is one.
    """

    value: float | None
    margin: float = 0.0
    reason: str | None = None

    @property
    def order(self) -> tuple[float, float]:
        """What rewards are sorted by, where there is a value."""
        assert self.value is not None
        return self.value, self.margin


def rewards_by_labels(
    problems: Sequence[LabelledProblem],
    candidates: Sequence[Sequence[Candidate]],
    judge: Judge,
    *,
    name: str = "judge",
    cache: JudgeCache | None = None,
) -> list[list[Reward]]:
    """Reward rubrics for ordering responses as people do.

    Args:
        problems: The problems, with labels that differ.
        candidates: For each problem its candidates.
        judge: Scores responses by the rubrics.
        name: What progress calls the judge.
        cache: Where judgements are kept.

    Returns:
        For each candidate its reward; one that is no rubric has none.
    """
    asked = [
        (
            row,
            place,
            JudgeRequest(problem.question, text, (criterion,), problem.dataset, problem.id),
        )
        for row, (problem, written) in enumerate(zip(problems, candidates, strict=True))
        for place, candidate in enumerate(written)
        for criterion in [candidate.criterion]
        if criterion is not None
        for text in problem.responses
    ]
    judged = judge_all(judge, [each[2] for each in asked], name=name, cache=cache)
    scores: dict[tuple[int, int], list[float | None]] = {}
    reasons: dict[tuple[int, int], str] = {}
    for (row, place, request), judgement in zip(asked, judged, strict=True):
        (score,) = judgement.scores.values()
        scale = score.scale or request.criteria[0].scale
        width = scale.maximum - scale.minimum
        value = None if score.score is None else score.score / width
        scores.setdefault((row, place), []).append(value)
        if score.score is None:
            reasons.setdefault((row, place), str(score.reason))
    return [
        [
            Reward(None, reason=candidate.fault)
            if not candidate.items
            else _by_labels(scores[row, place], problems[row].labels, reasons.get((row, place), ""))
            for place, candidate in enumerate(written)
        ]
        for row, written in enumerate(candidates)
    ]


def rewards_by_meta_judge(
    problems: Sequence[LabelledProblem],
    candidates: Sequence[Sequence[Candidate]],
    judge: Judge,
    *,
    name: str = "meta-judge",
    cache: JudgeCache | None = None,
) -> list[list[Reward]]:
    """Reward rubrics by what a judge says of them: specificity, coverage, discrimination, fit.

    Args:
        problems: The problems.
        candidates: For each problem its candidates.
        judge: Any judge that takes criteria.
        name: What progress calls the judge.
        cache: Where judgements are kept.

    Returns:
        For each candidate its reward; one that is no rubric has none.
    """
    asked = [
        JudgeRequest(
            problem.question,
            write_items(candidate.items),
            META_CRITERIA,
            problem.dataset,
            problem.id,
        )
        for problem, written in zip(problems, candidates, strict=True)
        for candidate in written
        if candidate.items
    ]
    judged = iter(judge_all(judge, asked, name=name, cache=cache))
    rewards = []
    for written in candidates:
        of_problem = []
        for candidate in written:
            if not candidate.items:
                of_problem.append(Reward(None, reason=candidate.fault))
                continue
            of_problem.append(reward_of_ratings(next(judged), META_CRITERIA))
        rewards.append(of_problem)
    return rewards


def reward_of_ratings(judgement: Judgement, criteria: Sequence[Criterion]) -> Reward:
    """Average a judge's scores of a rubric, each as a share of its scale.

    Args:
        judgement: What the judge said of the rubric.
        criteria: The criteria that it was rated on.

    Returns:
        The reward; without a value, and with the reason, where a score is missing.
    """
    shares = []
    for criterion in criteria:
        score = judgement.scores[criterion.key]
        scale = score.scale or criterion.scale
        if score.score is None:
            return Reward(None, reason=str(score.reason))
        shares.append((score.score - scale.minimum) / (scale.maximum - scale.minimum))
    return Reward(float(np.mean(shares)))


def _by_labels(
    scores: Sequence[float | None], labels: Sequence[float | None], reason: str
) -> Reward:
    known = [(s, label) for s, label in zip(scores, labels, strict=True) if label is not None]
    if any(score is None for score, _ in known):
        return Reward(None, reason=reason)
    pairs = [
        better - worse
        for (better, high), (worse, low) in itertools.permutations(known, 2)
        if better is not None and worse is not None and high > low
    ]
    if not pairs:
        return Reward(None, reason="no two labels of the problem differ")
    margin = float(np.mean(pairs))
    if len(known) > 2:
        given = np.array([score for score, _ in known], dtype=np.float64)
        wanted = np.array([label for _, label in known])
        return Reward((1 + _spearman(given, wanted)) / 2, margin)
    return Reward(float(np.mean([(d > 0) + 0.5 * (d == 0) for d in pairs])), margin)


def _spearman(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Spearman's correlation; 0 where a side is constant, as such scores order nothing."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])


def best_of(rewards: Sequence[Reward]) -> int | None:
    """The position of the best candidate; None if none has a reward."""
    known = [place for place, reward in enumerate(rewards) if reward.value is not None]
    return max(known, key=lambda place: (*rewards[place].order, -place)) if known else None


def best_against_worst(
    candidates: Sequence[Candidate], rewards: Sequence[Reward], length_ratio: float = LENGTH_RATIO
) -> tuple[int, int] | None:
    """Choose a better and a worse rubric of similar length, as far apart in reward as can be.

    Args:
        candidates: The candidates.
        rewards: Their rewards.
        length_ratio: How many times as long as the other the longer text may be.

    Returns:
        Their positions; None if no two of similar length differ in the value of the reward.
    """
    known = [place for place, reward in enumerate(rewards) if reward.value is not None]
    best: tuple[tuple[float, float], int, int] | None = None
    for better, worse in itertools.permutations(known, 2):
        high, low = rewards[better].order, rewards[worse].order
        lengths = sorted(len(candidates[place].text) for place in (better, worse))
        if high[0] <= low[0] or lengths[1] > length_ratio * lengths[0]:
            continue
        gap = (high[0] - low[0], high[1] - low[1])
        if best is None or gap > best[0]:
            best = (gap, better, worse)
    return None if best is None else best[1:]


def length_matched(
    problems: Sequence[LabelledProblem], seed: int
) -> tuple[list[LabelledProblem], str | None]:
    """Leave problems out so that the better response is longer as often as it is shorter.

    Where it mostly is longer, a rubric that asks for length would be rewarded.

    Args:
        problems: Problems with labels that differ.
        seed: Seed of the choice.

    Returns:
        The problems kept, in their order, and what was done in words; None if nothing was.
    """
    sides: dict[int, list[int]] = {-1: [], 0: [], 1: []}
    for place, problem in enumerate(problems):
        assert problem.contrast is not None
        better, worse = (len(problem.responses[each]) for each in problem.contrast)
        sides[(better > worse) - (better < worse)].append(place)
    longer, shorter = sides[1], sides[-1]
    if len(longer) == len(shorter):
        return list(problems), None
    if not longer or not shorter:
        side = "longer" if longer else "shorter"
        return list(problems), (
            f"lengths cannot be matched: the better response is {side} in every problem"
        )
    most, few = (longer, shorter) if len(longer) > len(shorter) else (shorter, longer)
    surplus = len(most) - len(few)
    dropped = set(np.random.default_rng(seed).permutation(most)[:surplus].tolist())
    kept = [problem for place, problem in enumerate(problems) if place not in dropped]
    side = "longer" if most is longer else "shorter"
    return kept, (
        f"{surplus} of {len(problems)} problems left out, so that the better response is not "
        f"mostly {side}"
    )


def mean_value(rewards: Sequence[Reward]) -> float | None:
    """The mean of what rewards there are; None if there are none."""
    values = [reward.value for reward in rewards if reward.value is not None]
    return math.fsum(values) / len(values) if values else None
