"""Which of two responses is better, by labels or by the meta-judge, and how often scores agree.

Labels count wherever there are any. Figures by labels and figures by the meta-judge say different
things, and never stand in one number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.errors import DataError
from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.run import judge_all
from inspector_plugin.rubrics.pairwise import PREFERENCE, side_by_side
from inspector_plugin.rubrics.rewards import LABELS, META_JUDGE
from inspector_plugin.rubrics.verdicts import Row
from inspector_plugin.schema.records import JudgeRequest

Floats = NDArray[np.float64]
MOST_PAIRS = 20_000


@dataclass(frozen=True)
class Preferences:
    """Pairs of responses of which one is better.

    Attributes:
        by: Who says so: "labels" or "meta-judge".
        better: Positions of the better responses, [pairs].
        worse: Positions of the worse ones, [pairs].
        within_problems: Whether the two of a pair answer one problem.
    """

    by: str
    better: NDArray[np.intp]
    worse: NDArray[np.intp]
    within_problems: bool = True

    def __len__(self) -> int:
        return len(self.better)

    def accuracy(self, scores: Floats) -> float | None:
        """Say how often the better response of a pair scores higher; equal scores count 1/2.

        Args:
            scores: The score of each response, [responses]; NaN where there is none.

        Returns:
            From 0 to 1, over the pairs whose two responses have scores; None if there are none.
        """
        gaps = self.gaps(scores)
        return None if not len(gaps) else float(np.mean((gaps > 0) + 0.5 * (gaps == 0)))

    def gaps(self, scores: Floats) -> Floats:
        """By how much the better response scores higher, in each pair whose two have scores."""
        gaps = scores[self.better] - scores[self.worse]
        # Scores that differ by rounding only are equal.
        known = np.where(np.abs(gaps) < 1e-9, 0.0, gaps)
        return np.asarray(known[~np.isnan(known)])


def by_labels(rows: Sequence[Row], seed: int = 0) -> Preferences | None:
    """Pair responses by their labels: within problems if any problem has two labels, else across.

    Args:
        rows: The responses.
        seed: Seed of the draw, where there are more pairs than are needed.

    Returns:
        None if no two labels differ.
    """
    labels = np.array([row.label for row in rows])
    by_problem: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        if not np.isnan(labels[place]):
            by_problem.setdefault(row.problem.problem, []).append(place)
    labelled = [place for places in by_problem.values() for place in places]
    for groups, within in ((list(by_problem.values()), True), ([labelled], False)):
        found = [_pairs(np.array(group, dtype=np.intp), labels) for group in groups]
        pairs = np.concatenate(found) if found else np.empty((0, 2), dtype=np.intp)
        if len(pairs) > MOST_PAIRS:
            drawn = np.random.default_rng(seed).permutation(len(pairs))[:MOST_PAIRS]
            pairs = pairs[np.sort(drawn)]
        if len(pairs):
            return Preferences(LABELS, pairs[:, 0], pairs[:, 1], within)
    return None


def by_meta_judge(
    rows: Sequence[Row],
    judge: Judge,
    cache: JudgeCache | None,
    most: int,
    name: str = "meta-judge",
) -> Preferences:
    """Ask which of two different responses to one problem is better, in both orders.

    A pair counts where both answers name the same response.

    Args:
        rows: The responses.
        judge: The meta-judge.
        cache: Where judgements are kept.
        most: The most pairs to ask about, one for each problem first.
        name: What messages call the judge.

    Raises:
        DataError: If no problem has two different responses.
    """
    pairs = pairs_to_ask(rows, most)
    if not pairs:
        raise DataError(
            "The data holds no contrast: it has no labels, and no problem with two different "
            "responses; give a file with labels or with several responses to a problem."
        )
    requests = preference_requests(rows, pairs)
    judged = judge_all(judge, requests, name=name, cache=cache)
    chosen = [judgement.scores[PREFERENCE.key].label for judgement in judged]
    better: list[int] = []
    worse: list[int] = []
    for (one, other), forwards, backwards in zip(pairs, chosen[::2], chosen[1::2], strict=True):
        if (forwards, backwards) in ((1, 2), (2, 1)):
            better.append(one if forwards == 1 else other)
            worse.append(other if forwards == 1 else one)
    return Preferences(META_JUDGE, np.array(better, dtype=np.intp), np.array(worse, dtype=np.intp))


def pairs_to_ask(rows: Sequence[Row], most: int) -> list[tuple[int, int]]:
    """List pairs of different responses to one problem, one of each problem first."""
    by_problem: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        known = by_problem.setdefault(row.problem.problem, [])
        if all(rows[other].response != row.response for other in known):
            known.append(place)
    queues = [
        [(one, other) for i, one in enumerate(group) for other in group[i + 1 :]]
        for group in by_problem.values()
    ]
    depth = max(map(len, queues), default=0)
    listed = [queue[level] for level in range(depth) for queue in queues if level < len(queue)]
    return listed[:most]


def preference_requests(
    rows: Sequence[Row], pairs: Sequence[tuple[int, int]]
) -> list[JudgeRequest]:
    """Ask which response of each pair is better: once in its order, once in the other."""
    return [
        JudgeRequest(
            rows[first].problem.question,
            side_by_side(rows[first].response, rows[second].response),
            (PREFERENCE,),
            rows[first].problem.dataset,
            rows[first].problem.id,
        )
        for pair in pairs
        for first, second in (pair, pair[::-1])
    ]


def _pairs(group: NDArray[np.intp], labels: Floats) -> NDArray[np.intp]:
    """All pairs of a group of which the first has the higher label, [pairs, 2]."""
    higher = labels[group][:, None] > labels[group][None, :]
    first, second = np.nonzero(higher)
    return np.stack([group[first], group[second]], axis=1)
