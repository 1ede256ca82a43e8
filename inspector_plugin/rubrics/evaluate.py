"""How well a judge that goes by rubrics agrees with people.

Where people say which of two responses is better, the two are scored apart, and a pair counts 1 if
the better one scores higher, 1/2 if both score the same. Where people give scores, it is Spearman's
correlation with them over all responses. Intervals draw whole problems.

Sources: pair accuracy and rank correlation as in Dynamic Rubrics (arXiv 2605.30568), another
problem's rubric after RubricBench (2603.01562), responses stuffed with a rubric's words after
PReMISE (2605.30803); how they are stuffed is ours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from inspector_plugin.data.labelled import (
    POOLED_GROUPS,
    PREFERENCES,
    LabelledFile,
    LabelledProblem,
)
from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.judging.judge import Judge
from inspector_plugin.rubrics.conditions import Condition
from inspector_plugin.rubrics.evaluated_figures import (
    Statistic,
    correlation,
    mean_statistic,
    pair_value,
    problem_codes,
    share_of_ties,
)
from inspector_plugin.rubrics.evaluated_scores import (
    Asking,
    Scores,
    exploited,
    score_apart,
    score_pairs,
)
from inspector_plugin.schema.usage import Usage

ALL = "all"
PAIRWISE_NAME = "no rubric, pairwise"


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
        usage: What judging has cost; None if the judge does not count.
    """

    file: LabelledFile
    results: tuple[GroupResult, ...]
    reasons: dict[str, Counter[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    usage: Usage | None = None


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
    problems, asking = file.problems, Asking(judge, name, cache)
    results: list[GroupResult] = []
    reasons: dict[str, Counter[str]] = {}
    for condition in conditions:
        criteria = [condition.criterion_for(problem) for problem in problems]
        scores = score_apart(asking, problems, criteria, condition.name)
        reasons[condition.name] = scores.reasons
        wins = (
            exploited(asking, problems, criteria, scores, f"{condition.name}, words")
            if exploit
            else None
        )
        for group, rows in _parts(file):
            results.append(
                _group_result(condition.name, group, file, rows, scores, wins, seed, resamples)
            )
    if pairwise:
        scores = score_pairs(asking, problems, "pairwise")
        reasons[PAIRWISE_NAME] = scores.reasons
        for group, rows in _parts(file):
            pairs = _pairs(problems, rows)
            values = [pair_value(problems[row], scores.of[row]) for row in pairs]
            results.append(
                GroupResult(
                    PAIRWISE_NAME,
                    group,
                    mean_statistic(values, problem_codes(problems, pairs), seed, resamples),
                    share_of_ties(values),
                )
            )
    notes = tuple(each.note for each in conditions if each.note is not None)
    return FileResult(file, tuple(results), reasons, notes, asking.usage)


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


def _group_result(
    condition: str,
    group: str,
    file: LabelledFile,
    rows: Sequence[int],
    scores: Scores,
    wins: Sequence[float] | None,
    seed: int,
    resamples: int,
) -> GroupResult:
    pairs = _pairs(file.problems, rows)
    codes = problem_codes(file.problems, pairs)
    values = [pair_value(file.problems[row], scores.of[row]) for row in pairs]
    exploit = (
        None
        if wins is None
        else mean_statistic([wins[row] for row in pairs], codes, seed, resamples)
    )
    return GroupResult(
        condition,
        group,
        mean_statistic(values, codes, seed, resamples),
        share_of_ties(values),
        None if file.kind == PREFERENCES else correlation(file, rows, scores, seed, resamples),
        exploit,
    )


def _pairs(problems: Sequence[LabelledProblem], rows: Sequence[int]) -> list[int]:
    """Those of some rows of which it is known which response is better."""
    return [row for row in rows if problems[row].contrast is not None]
