"""How well a judge that goes by rubrics agrees with people.

Where people say which of two responses is better, the two are scored apart, and a pair counts 1 if
the better one scores higher, 1/2 if both score the same. Where people give scores, it is Spearman's
correlation with them over all responses. Intervals draw whole problems.

Sources: pair accuracy and rank correlation as in Dynamic Rubrics (arXiv 2605.30568), another
problem's rubric after RubricBench (2603.01562), responses stuffed with a rubric's words after
PReMISE (2605.30803); how they are stuffed is ours.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.agreement.bootstrap import Estimate, estimate, resampled
from inspector_plugin.agreement.ranks import RankTable
from inspector_plugin.data.labelled import (
    POOLED_GROUPS,
    PREFERENCES,
    LabelledFile,
    LabelledProblem,
)
from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.run import judge_all
from inspector_plugin.rubrics.conditions import Condition, stuffed
from inspector_plugin.schema.criteria import Criterion, Scale
from inspector_plugin.schema.records import JudgeRequest

ALL = "all"
PAIRWISE_NAME = "no rubric, pairwise"
NO_CRITERION = "there is no rubric for the problem"
PREFERENCE = Criterion(
    "preference",
    "Preference",
    "What is judged holds two responses to the question, each between marks. Say which of the two "
    "answers the question better: 1 if it is the first, 2 if it is the second. Neither order nor "
    "length makes a response better.",
    Scale((1, 2)),
    {1: "The first response is better.", 2: "The second response is better."},
)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Statistic:
    """A figure of an evaluation.

    Attributes:
        value: The figure with its interval; None if it is not defined.
        count: Over how many pairs or responses.
        asked: Of how many, all with labels, and in pairs with labels that differ.
        reason: Why there is no figure; None where there is one.
    """

    value: Estimate | None
    count: int
    asked: int
    reason: str | None = None


@dataclass(frozen=True)
class GroupResult:
    """What one condition reaches on one part of a file.

    Attributes:
        condition: The condition's name.
        group: The part's name; "all" for the whole file.
        accuracy: Pair accuracy.
        ties: The share of pairs whose two responses got the same score.
        correlation: Spearman's correlation with people's scores, where they gave scores.
        exploit: How often the worse response, with the rubric's words added, scores above the
            better one; None where that was not asked for.
    """

    condition: str
    group: str
    accuracy: Statistic
    ties: float | None = None
    correlation: Statistic | None = None
    exploit: Statistic | None = None


@dataclass(frozen=True)
class FileResult:
    """The results of one file.

    Attributes:
        file: The file.
        results: For each condition and each part.
        reasons: Why scores are missing, and how many, by condition.
        notes: What there is to say of conditions.
    """

    file: LabelledFile
    results: tuple[GroupResult, ...]
    reasons: dict[str, Counter[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass
class _Scores:
    """The scores of one condition: for each row, of each response; NaN where there is none."""

    of: list[list[float]]
    reasons: Counter[str]


def evaluate_file(
    file: LabelledFile,
    conditions: Sequence[Condition],
    judge: Judge,
    *,
    pairwise: bool = True,
    exploit: bool = True,
    name: str = "judge",
    seed: int = 0,
    resamples: int = 1000,
    cache: JudgeCache | None = None,
) -> FileResult:
    """Judge a file's responses under each condition, and compare with people.

    Args:
        file: Problems with labelled responses.
        conditions: The conditions.
        judge: The judge.
        pairwise: Whether to show the judge both responses of a pair at once, too, in both orders.
        exploit: Whether to judge responses with the rubric's words added.
        name: What progress calls the judge.
        seed: Seed of the intervals.
        resamples: Number of resamples.
        cache: Where judgements are kept; what it holds is not judged again.
    """
    problems = file.problems
    results: list[GroupResult] = []
    reasons: dict[str, Counter[str]] = {}
    for condition in conditions:
        criteria = [condition.criterion_for(problem) for problem in problems]
        scores = _score_apart(judge, problems, criteria, f"{name}, {condition.name}", cache)
        reasons[condition.name] = scores.reasons
        wins = (
            _exploited(judge, problems, criteria, scores, f"{name}, {condition.name}, words", cache)
            if exploit
            else None
        )
        for group, rows in _parts(file):
            results.append(
                _group_result(condition.name, group, file, rows, scores, wins, seed, resamples)
            )
    if pairwise:
        scores = _score_pairs(judge, problems, f"{name}, pairwise", cache)
        reasons[PAIRWISE_NAME] = scores.reasons
        for group, rows in _parts(file):
            pairs = _pairs(problems, rows)
            values = [_pair_value(problems[row], scores.of[row]) for row in pairs]
            results.append(
                GroupResult(
                    PAIRWISE_NAME,
                    group,
                    _mean(values, _codes(problems, pairs), seed, resamples),
                    _share_of_ties(values),
                )
            )
    notes = tuple(each.note for each in conditions if each.note is not None)
    return FileResult(file, tuple(results), reasons, notes)


def _parts(file: LabelledFile) -> Iterable[tuple[str, list[int]]]:
    """Name the parts of a file, pooled ones and the whole among them, with their rows."""
    by_group: dict[str, list[int]] = {}
    for row, problem in enumerate(file.problems):
        if problem.group is not None:
            by_group.setdefault(problem.group, []).append(row)
    yield from by_group.items()
    for pooled, members in POOLED_GROUPS.items():
        if len(members & by_group.keys()) > 1:
            yield pooled, sorted(row for group in members for row in by_group.get(group, []))
    if len(by_group) != 1:
        yield ALL, list(range(len(file.problems)))


def _score_apart(
    judge: Judge,
    problems: Sequence[LabelledProblem],
    criteria: Sequence[Criterion | None],
    name: str,
    cache: JudgeCache | None,
) -> _Scores:
    """Score each response by itself."""
    asked = [
        (row, place, _request(problem, response, criterion))
        for row, (problem, criterion) in enumerate(zip(problems, criteria, strict=True))
        for place, response in enumerate(problem.responses)
        if criterion is not None
    ]
    scores = _Scores([[np.nan] * len(each.responses) for each in problems], Counter())
    missing = sum(
        len(problem.responses)
        for problem, criterion in zip(problems, criteria, strict=True)
        if criterion is None
    )
    if missing:
        scores.reasons[NO_CRITERION] = missing
    values = _judged(judge, [request for _, _, request in asked], name, cache, scores.reasons)
    for (row, place, _), value in zip(asked, values, strict=True):
        scores.of[row][place] = value
    return scores


def _score_pairs(
    judge: Judge, problems: Sequence[LabelledProblem], name: str, cache: JudgeCache | None
) -> _Scores:
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
    scores = _Scores([[np.nan] * len(each.responses) for each in problems], Counter())
    values = _judged(judge, [each[3] for each in asked], name, cache, scores.reasons)
    for place in range(0, len(asked), 2):
        (row, better, worse, _), forwards, backwards = asked[place], *values[place : place + 2]
        # A score of 1 is for the first and 2 for the second, so that s - 1 is the second's share.
        share = ((2 - forwards) + (backwards - 1)) / 2
        scores.of[row][better], scores.of[row][worse] = share, 1 - share
    return scores


def _exploited(
    judge: Judge,
    problems: Sequence[LabelledProblem],
    criteria: Sequence[Criterion | None],
    scores: _Scores,
    name: str,
    cache: JudgeCache | None,
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
    values = _judged(judge, [request for _, _, request in asked], name, cache, Counter())
    wins = [np.nan] * len(problems)
    for (row, contrast, _), value in zip(asked, values, strict=True):
        better = scores.of[row][contrast[0]]
        if not np.isnan(better) and not np.isnan(value):
            wins[row] = float(value > better)
    return wins


def _judged(
    judge: Judge,
    requests: Sequence[JudgeRequest],
    name: str,
    cache: JudgeCache | None,
    reasons: Counter[str],
) -> list[float]:
    """Judge requests of one criterion each; NaN where there is no score."""
    values = []
    for request, judgement in zip(
        requests, judge_all(judge, requests, name=name, cache=cache), strict=True
    ):
        score = judgement.scores[request.criteria[0].key]
        if score.score is None:
            reasons[str(score.reason)] += 1
        values.append(np.nan if score.score is None else score.score)
    return values


def _request(problem: LabelledProblem, response: str, criterion: Criterion) -> JudgeRequest:
    return JudgeRequest(
        problem.question, response, (criterion,), dataset=problem.dataset, id=problem.id
    )


def side_by_side(first: str, second: str) -> str:
    """Write two responses as one text, between marks that neither of them can have foreseen."""
    texts = "\0".join((first, second)).encode("utf-8", "surrogatepass")
    mark = hashlib.sha256(texts).hexdigest()[:8]
    return "\n\n".join(
        f"[begin of response {number}, {mark}]\n{text}\n[end of response {number}, {mark}]"
        for number, text in (("1", first), ("2", second))
    )


def _group_result(
    condition: str,
    group: str,
    file: LabelledFile,
    rows: Sequence[int],
    scores: _Scores,
    wins: Sequence[float] | None,
    seed: int,
    resamples: int,
) -> GroupResult:
    pairs = _pairs(file.problems, rows)
    codes = _codes(file.problems, pairs)
    values = [_pair_value(file.problems[row], scores.of[row]) for row in pairs]
    exploit = None if wins is None else _mean([wins[row] for row in pairs], codes, seed, resamples)
    return GroupResult(
        condition,
        group,
        _mean(values, codes, seed, resamples),
        _share_of_ties(values),
        None if file.kind == PREFERENCES else _correlation(file, rows, scores, seed, resamples),
        exploit,
    )


def _pairs(problems: Sequence[LabelledProblem], rows: Sequence[int]) -> list[int]:
    """Those of some rows of which it is known which response is better."""
    return [row for row in rows if problems[row].contrast is not None]


def _pair_value(problem: LabelledProblem, scores: Sequence[float]) -> float:
    """1 if the best response scores above the worst, 1/2 if the same, else 0; NaN if unknown."""
    if problem.contrast is None:
        return np.nan
    better, worse = (scores[place] for place in problem.contrast)
    if np.isnan(better) or np.isnan(worse):
        return np.nan
    return float(better > worse) + 0.5 * float(better == worse)


def _share_of_ties(values: Sequence[float]) -> float | None:
    known = [value for value in values if not np.isnan(value)]
    return sum(value == 0.5 for value in known) / len(known) if known else None


def _codes(problems: Sequence[LabelledProblem], rows: Sequence[int]) -> NDArray[np.intp]:
    """Number the problems of rows, so that rows of one problem are drawn together."""
    numbers: dict[str, int] = {}
    return np.array(
        [numbers.setdefault(problems[row].problem, len(numbers)) for row in rows], dtype=np.intp
    )


def _mean(values: Sequence[float], codes: NDArray[np.intp], seed: int, resamples: int) -> Statistic:
    """Estimate the mean of what is known of some values, by problem."""
    every = np.array(values, dtype=np.float64)
    known = ~np.isnan(every)
    count = int(known.sum())
    if count == 0:
        return Statistic(None, 0, len(values), "no pair has two scores")
    numbers = np.unique(codes[known], return_inverse=True)[1]
    clusters = int(numbers.max()) + 1
    sums = np.bincount(numbers, weights=every[known], minlength=clusters)
    counts = np.bincount(numbers, minlength=clusters).astype(np.float64)

    def means(weights: Floats) -> Floats:
        ratio: Floats = (sums @ weights) / (counts @ weights)
        return ratio

    # Where all values are equal so are all resamples, which says nothing of what others would be.
    told_apart = len(set(every[known])) > 1
    drawn = resampled(means, clusters, clusters, seed, resamples if told_apart else 0)
    return Statistic(estimate(float(every[known].mean()), drawn), count, len(values))


def _correlation(
    file: LabelledFile, rows: Sequence[int], scores: _Scores, seed: int, resamples: int
) -> Statistic:
    """Estimate Spearman's correlation of scores with labels over all responses, by problem."""
    codes = _codes(file.problems, rows)
    triples = [
        (score, label, code)
        for row, code in zip(rows, codes, strict=True)
        for score, label in zip(scores.of[row], file.problems[row].labels, strict=True)
        if label is not None
    ]
    known = [each for each in triples if not np.isnan(each[0])]
    if len(known) < 3:
        reason = f"{len(known)} responses have a score and a label; a correlation needs 3"
        return Statistic(None, len(known), len(triples), reason)
    given, labels, problem = (np.array(column) for column in zip(*known, strict=True))
    numbers = np.unique(problem, return_inverse=True)[1]
    clusters = int(numbers.max()) + 1
    table = RankTable(given.astype(np.float64), labels.astype(np.float64), numbers, clusters)
    value = float(table.spearman(np.ones((clusters, 1)))[0])
    if np.isnan(value):
        reason = "all scores, or all labels, are equal"
        return Statistic(None, len(known), len(triples), reason)
    drawn = resampled(table.spearman, clusters, table.cells, seed, resamples)
    return Statistic(estimate(value, drawn), len(known), len(triples))
