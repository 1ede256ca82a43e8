"""From a judge to the figures of the sanity suite."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inspector_plugin.agreement.bootstrap import Estimate
from inspector_plugin.audits.intervals import clustered_share
from inspector_plugin.audits.suite import NONSENSE, RIGHT, Item, Kind, Suite
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.run import judge_all
from inspector_plugin.schema.criteria import MULTICLASS, TOTAL, Criterion, common_scale
from inspector_plugin.schema.records import Judgement, JudgeRequest
from inspector_plugin.schema.roscoe import ROSCOE_KEYS

if TYPE_CHECKING:
    from inspector_plugin.judging.cache import JudgeCache

# Flags by which a judge says that a response may be none to the problem.
WARNING_FLAGS = ("off-task", "unlike-training")
# How far below the right solution nonsense has to be, as a share of the total's range: 2 points of
# five scores on 1-5.
MARGIN = 0.1
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Ordering:
    """How often the responses of a kind score lower than right solutions of the same problem.

    Attributes:
        kind: The kind's key.
        lower_on: The criterion, the mean of two ("a+b"), or "total".
        share: The share of pairs of such a response and a right solution in which it does; a tie
            is not lower. None if there are no pairs.
        same_style: The same against the right solution in the style that the response was made
            from; None if it was made from none.
        ties: The share of pairs with equal scores.
        shift: The mean of the response's score less that of the right solution.
        pairs: Number of pairs that have both scores.
        unscored: Number of pairs that lack one, which are in none of the other figures.
        by_dataset: The share on problems in the style of each data set.
    """

    kind: str
    lower_on: str
    share: Estimate | None
    same_style: Estimate | None
    ties: float | None
    shift: float | None
    pairs: int
    unscored: int
    by_dataset: Mapping[str, Estimate | None]


@dataclass(frozen=True)
class KindFigures:
    """What a judge makes of the responses of a kind.

    Attributes:
        kind: The kind's key; for several kinds pooled, what they have in common.
        responses: Number of responses.
        scored: Number of those with a score on everything they were judged on.
        flagged: The share of responses with a warning flag.
        total: Mean total of those that have one.
        told_apart: The share of pairs with right solutions in which the response has a warning
            flag, or a total lower by `Report.margin` at least. None but for nonsense.
        untold: Number of pairs that lack a total and a flag, which are not in that share.
    """

    kind: str
    responses: int
    scored: int
    flagged: Estimate | None
    total: float | None
    told_apart: Estimate | None = None
    untold: int = 0


@dataclass(frozen=True)
class Report:
    """The figures of a judge on a suite.

    Attributes:
        criteria: The keys of the criteria judged.
        orderings: For each kind, and each of what it must score lower on.
        kinds: For each kind.
        right: For all right solutions.
        nonsense: For all kinds that are no attempt at the problem.
        left_out: What was not judged, and which kinds must score lower on it.
        reasons: Why scores are missing, and how many.
        margin: How much lower nonsense has to be, in points of the total; None without totals.
        flags: The flags that count as a warning.
        unseen: Those of them that no score has.
        asked: Number of scores asked for.
        given: Number of scores that the judge gave.
    """

    criteria: tuple[str, ...]
    orderings: Sequence[Ordering]
    kinds: Sequence[KindFigures]
    right: KindFigures
    nonsense: KindFigures
    left_out: Mapping[str, tuple[str, ...]]
    reasons: Mapping[str, int]
    margin: float | None
    flags: tuple[str, ...]
    unseen: tuple[str, ...]
    asked: int
    given: int


@dataclass(frozen=True)
class _Judged:
    item: Item
    judgement: Judgement
    flagged: bool


def run_suite(
    judge: Judge,
    suite: Suite,
    criteria: Sequence[Criterion],
    *,
    name: str = "judge",
    flags: Sequence[str] = WARNING_FLAGS,
    cache: JudgeCache | None = None,
    progress: bool = True,
) -> Report:
    """Judge a suite and work out the figures.

    Args:
        judge: The judge.
        suite: The suite.
        criteria: What to judge on; what a kind must score lower on and is not among them is left
            out, and said to be.
        name: What progress and messages call the judge.
        flags: The flags that count as a warning.
        cache: The judge cache, if any.
        progress: Whether to show progress.

    Raises:
        JudgeError: If the judge breaks its contract.
    """
    requests = [
        JudgeRequest(item.question, item.response, tuple(criteria), item.dataset, item.problem)
        for item in suite.items
    ]
    judgements = judge_all(judge, requests, name=name, cache=cache, progress=progress)
    return report_of(suite, judgements, flags)


def report_of(
    suite: Suite, judgements: Sequence[Judgement], flags: Sequence[str] = WARNING_FLAGS
) -> Report:
    """Work out the figures of judgements.

    Args:
        suite: The suite.
        judgements: One for each of its items, in their order.
        flags: The flags that count as a warning.
    """
    rows = [
        _Judged(item, judgement, _is_flagged(judgement, flags))
        for item, judgement in zip(suite.items, judgements, strict=True)
    ]
    keys = tuple(dict.fromkeys(key for judgement in judgements for key in judgement.scores))
    right = [row for row in rows if suite.kinds[row.item.kind].group == RIGHT]
    nonsense = [row for row in rows if suite.kinds[row.item.kind].group == NONSENSE]
    solutions: dict[str, list[_Judged]] = {}
    for row in right:
        solutions.setdefault(row.item.problem, []).append(row)
    left_out: dict[str, list[str]] = {}
    orderings, kinds = [], []
    scores = [score for judgement in judgements for score in judgement.scores.values()]
    seen = {flag for score in scores for flag in score.flags}
    for kind in suite.kinds.values():
        of_kind = [row for row in rows if row.item.kind == kind.key]
        is_nonsense = kind.group == NONSENSE
        kinds.append(_figures(kind.key, of_kind, solutions if is_nonsense else {}))
        for lower_on in kind.lower_on:
            if _is_judged(lower_on, keys):
                orderings.append(_ordering(kind, lower_on, of_kind, solutions))
            else:
                left_out.setdefault(lower_on, []).append(kind.key)
    return Report(
        criteria=keys,
        orderings=orderings,
        kinds=kinds,
        right=_figures("right solutions", right, {}),
        nonsense=_figures("nonsense", nonsense, solutions),
        left_out={lower_on: tuple(names) for lower_on, names in left_out.items()},
        reasons=Counter(score.reason for score in scores if score.reason is not None),
        margin=next(filter(None, map(_margin, judgements)), None),
        flags=tuple(flags),
        unseen=tuple(flag for flag in flags if flag not in seen),
        asked=len(scores),
        given=sum(score.score is not None for score in scores),
    )


def value_of(judgement: Judgement, lower_on: str) -> float | None:
    """Return a score, the mean of several ("a+b"), or the total; None where one is missing."""
    keys = ROSCOE_KEYS if lower_on == TOTAL else lower_on.split("+")
    scores = [judgement.scores[key] for key in keys if key in judgement.scores]
    values = [score.score for score in scores if score.score is not None]
    one_scale = common_scale(score.scale or MULTICLASS for score in scores) is not None
    if len(values) != len(keys) or not one_scale:
        return None
    return math.fsum(values) / (1 if lower_on == TOTAL else len(values))


def _ordering(
    kind: Kind, lower_on: str, rows: Sequence[_Judged], solutions: Mapping[str, list[_Judged]]
) -> Ordering:
    pairs, differences, unscored = [], [], 0
    for row, solution in _pairs(rows, solutions):
        ours, theirs = (value_of(each.judgement, lower_on) for each in (row, solution))
        if ours is None or theirs is None:
            unscored += 1
        else:
            pairs.append((row.item, solution.item))
            differences.append(ours - theirs)
    is_lower = [difference < -_ROUNDING for difference in differences]

    def share(chosen: Iterable[bool]) -> Estimate | None:
        kept = [place for place, wanted in enumerate(chosen) if wanted]
        return clustered_share(
            [is_lower[place] for place in kept], [pairs[place][0].problem for place in kept]
        )

    count = len(pairs)
    datasets = dict.fromkeys(row.item.dataset for row in rows)
    return Ordering(
        kind=kind.key,
        lower_on=lower_on,
        share=share([True] * count),
        same_style=share(item.made_from == solution.kind for item, solution in pairs),
        ties=sum(abs(each) <= _ROUNDING for each in differences) / count if count else None,
        shift=math.fsum(differences) / count if count else None,
        pairs=count,
        unscored=unscored,
        by_dataset={each: share(item.dataset == each for item, _ in pairs) for each in datasets},
    )


def _figures(
    name: str, rows: Sequence[_Judged], solutions: Mapping[str, list[_Judged]]
) -> KindFigures:
    totals = [total for row in rows if (total := value_of(row.judgement, TOTAL)) is not None]
    told, problems, untold = [], [], 0
    for row, solution in _pairs(rows, solutions):
        apart = _told_apart(row, solution)
        if apart is None:
            untold += 1
        else:
            told.append(apart)
            problems.append(row.item.problem)
    return KindFigures(
        kind=name,
        responses=len(rows),
        scored=sum(
            all(score.score is not None for score in row.judgement.scores.values()) for row in rows
        ),
        flagged=clustered_share([row.flagged for row in rows], [row.item.problem for row in rows]),
        total=math.fsum(totals) / len(totals) if totals else None,
        told_apart=clustered_share(told, problems),
        untold=untold,
    )


def _told_apart(row: _Judged, solution: _Judged) -> bool | None:
    if row.flagged:
        return True
    ours, theirs = (value_of(each.judgement, TOTAL) for each in (row, solution))
    margin = _margin(row.judgement)
    if ours is None or theirs is None or margin is None:
        return None
    return theirs - ours >= margin - _ROUNDING


def _pairs(
    rows: Iterable[_Judged], solutions: Mapping[str, list[_Judged]]
) -> Iterable[tuple[_Judged, _Judged]]:
    return ((row, solution) for row in rows for solution in solutions.get(row.item.problem, ()))


def _margin(judgement: Judgement) -> float | None:
    """The margin in points of the total; None if the judgement has no total."""
    if value_of(judgement, TOTAL) is None:
        return None
    scale = judgement.scores[ROSCOE_KEYS[0]].scale or MULTICLASS
    return MARGIN * len(ROSCOE_KEYS) * (scale.maximum - scale.minimum)


def _is_judged(lower_on: str, keys: Sequence[str]) -> bool:
    wanted = ROSCOE_KEYS if lower_on == TOTAL else lower_on.split("+")
    return set(wanted) <= set(keys)


def _is_flagged(judgement: Judgement, flags: Sequence[str]) -> bool:
    return any(flag in flags for score in judgement.scores.values() for flag in score.flags)
