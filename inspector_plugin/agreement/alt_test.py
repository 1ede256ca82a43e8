"""May a judge replace the annotators? The alternative annotator test.

Source: Calderon, Reichart and Dror, The Alternative Annotator Test for LLM-as-a-Judge (ACL 2025).
Each annotator in turn is left out, and the judge and that annotator are held against the others: on
each response, whose label is closer to theirs? The judge wins against an annotator if it is closer,
or as close, more often, up to an allowance epsilon for what the judge saves. It may replace the
annotators if it wins against at least half of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, ttest_1samp

from inspector_plugin.agreement.compare import OVERALL
from inspector_plugin.data.score_table import ScoreColumn

Floats = NDArray[np.float64]
Alignment = Literal["rmse", "accuracy"]

LEAST_ANNOTATORS, LEAST_ITEMS = 3, 30
FALSE_DISCOVERY_RATE = 0.05
# Epsilon that the authors recommend, by who the annotators are.
EPSILONS = {"experts": 0.2, "skilled annotators": 0.15, "crowd workers": 0.1}
EPSILON = 0.2


@dataclass(frozen=True)
class AnnotatorTest:
    """The judge against one annotator.

    Attributes:
        annotator: The annotator's name.
        items: Number of responses that this annotator, the judge, and one more annotator labelled.
        judge_ahead: Share on which the judge is at least as close to the others, in [0, 1]: the
            advantage probability.
        annotator_ahead: Share on which the annotator is.
        p: One-sided p-value of the paired t-test.
        adjusted_p: The same, adjusted by Benjamini and Yekutieli.
        won: Whether the judge wins.
    """

    annotator: str
    items: int
    judge_ahead: float
    annotator_ahead: float
    p: float
    adjusted_p: float
    won: bool


@dataclass(frozen=True)
class AltTest:
    """The outcome of the test.

    Attributes:
        judge: The judge.
        key: The criterion, or "overall".
        epsilon: The allowance.
        alignment: How closeness was measured.
        annotators: The judge against each annotator.
        reason: Why the test cannot be made; None if it could.
        left_out: Annotators with too few responses, and how many they have.
        problems: Number of problems that the responses are to.
        items: Number of responses that the judge and two annotators labelled.
    """

    judge: str
    key: str
    epsilon: float
    alignment: Alignment
    annotators: tuple[AnnotatorTest, ...] = ()
    reason: str | None = None
    left_out: tuple[tuple[str, int], ...] = ()
    problems: int = 0
    items: int = 0

    @property
    def winning_rate(self) -> float | None:
        """Share of the annotators that the judge wins against, in [0, 1]."""
        if self.reason is not None:
            return None
        return float(np.mean([each.won for each in self.annotators]))

    @property
    def advantage(self) -> float | None:
        """Mean over the annotators of the advantage probability, in [0, 1]."""
        if self.reason is not None:
            return None
        return float(np.mean([each.judge_ahead for each in self.annotators]))

    @property
    def passed(self) -> bool | None:
        """Whether the judge may replace the annotators; None if the test cannot be made."""
        rate = self.winning_rate
        return None if rate is None else rate >= 0.5

    @property
    def verdict(self) -> str:
        """The outcome in words."""
        if self.reason is not None:
            return f"No verdict: {self.reason}"
        won = sum(each.won for each in self.annotators)
        answer = "Yes" if self.passed else "No"
        return (
            f"{answer}: {self.judge} wins against {won} of {len(self.annotators)} annotators, and "
            "must win against at least half of them"
        )


def alternative_annotator_tests(
    judge: str,
    columns: Mapping[str, ScoreColumn],
    annotators: Sequence[str],
    theirs: Mapping[str, Sequence[ScoreColumn | None]],
    problems: NDArray[np.intp],
    epsilon: float = EPSILON,
) -> list[AltTest]:
    """Make the test on each criterion, and on all together where there are several.

    Labels on different scales are compared as low and high quality.

    Args:
        judge: The judge's name.
        columns: The judge's scores by criterion.
        annotators: The annotators' names.
        theirs: Their scores by criterion, in the order of the names; None where one has none.
        problems: The number of each response's problem, [responses].
        epsilon: The allowance, from 0 to 1.
    """
    everyone = [*columns.values(), *(c for each in theirs.values() for c in each if c is not None)]
    scales = {column.scale for column in everyone}
    mixed = len(scales) > 1
    two_labels = mixed or all(len(scale.labels) == 2 for scale in scales)

    def labels_of(column: ScoreColumn | None) -> Floats:
        if column is None:
            return np.full(len(problems), np.nan)
        return (column.as_binary() if mixed else column).labels

    sides = {
        key: (labels_of(column), np.stack([labels_of(each) for each in theirs[key]]), problems)
        for key, column in columns.items()
    }
    if len(sides) > 1:
        judged, labels, repeated = zip(*sides.values(), strict=True)
        sides[OVERALL] = (
            np.concatenate(judged),
            np.concatenate(labels, axis=1),
            np.concatenate(repeated),
        )
    return [
        alternative_annotator_test(
            judge,
            judged,
            annotators,
            labels,
            own_problems,
            key=key,
            alignment="accuracy" if two_labels else "rmse",
            epsilon=epsilon,
        )
        for key, (judged, labels, own_problems) in sides.items()
    ]


def alternative_annotator_test(
    judge: str,
    judged: Floats,
    annotators: Sequence[str],
    labels: Floats,
    problems: NDArray[np.intp],
    *,
    key: str = "",
    alignment: Alignment = "rmse",
    epsilon: float = EPSILON,
) -> AltTest:
    """Make the test.

    As in the paper, responses count as independent of each other, also where they are to one
    problem; the report says how many problems there are.

    Args:
        judge: The judge's name.
        judged: The judge's labels (or scores); NaN where there is none, [responses].
        annotators: The annotators' names.
        labels: Theirs; NaN where there is none, [annotators, responses].
        problems: The number of each response's problem, [responses].
        key: The criterion.
        alignment: "rmse" measures closeness by the root mean squared difference from the other
            annotators' labels; "accuracy" by the share of them that are equal.
        epsilon: The allowance, from 0 to 1.
    """
    given = ~np.isnan(labels)
    usable = ~np.isnan(judged) & (given.sum(axis=0) > 1)
    about = {
        "problems": len(np.unique(problems[usable])),
        "items": int(usable.sum()),
    }
    tested, differences, left_out = [], [], []
    for place, name in enumerate(annotators):
        rows = np.flatnonzero(usable & given[place])
        if len(rows) < LEAST_ITEMS:
            left_out.append((name, len(rows)))
            continue
        others = np.delete(labels, place, axis=0)[:, rows]
        ours = _closeness(judged[rows], others, alignment)
        theirs = _closeness(labels[place, rows], others, alignment)
        tested.append((name, len(rows), float(np.mean(ours >= theirs))))
        differences.append((theirs >= ours).astype(np.float64) - (ours >= theirs))
    if len(tested) < LEAST_ANNOTATORS:
        reason = (
            f"the test needs {LEAST_ANNOTATORS} annotators with at least {LEAST_ITEMS} responses "
            "each that the judge and another annotator have scored, too; there "
            + (f"is {len(tested)}" if len(tested) == 1 else f"are {len(tested)}")
        )
        return AltTest(judge, key, epsilon, alignment, (), reason, tuple(left_out), **about)
    p_values = np.array([_p_value(each, epsilon) for each in differences])
    adjusted = false_discovery_control(p_values, method="by")
    return AltTest(
        judge,
        key,
        epsilon,
        alignment,
        tuple(
            AnnotatorTest(
                name,
                count,
                ahead,
                float(ahead + difference.mean()),
                float(p),
                float(q),
                bool(q <= FALSE_DISCOVERY_RATE),
            )
            for (name, count, ahead), difference, p, q in zip(
                tested, differences, p_values, adjusted, strict=True
            )
        ),
        None,
        tuple(left_out),
        **about,
    )


def _closeness(labels: Floats, others: Floats, alignment: Alignment) -> Floats:
    """How close labels are to those of the other annotators; higher is closer, [responses]."""
    count = (~np.isnan(others)).sum(axis=0)
    closeness: Floats
    if alignment == "accuracy":
        closeness = np.sum(others == labels, axis=0) / count
    else:
        closeness = -np.sqrt(np.nansum((others - labels) ** 2, axis=0) / count)
    return closeness


def _p_value(difference: Floats, epsilon: float) -> float:
    """Of the hypothesis that the annotator is ahead by epsilon or more; small means it is not."""
    if np.ptp(difference) == 0:  # a t-test has nothing to divide by
        return 0.0 if difference[0] < epsilon else 1.0
    return float(ttest_1samp(difference, epsilon, alternative="less").pvalue)
