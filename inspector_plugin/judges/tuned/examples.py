"""From scored rows to what a model learns from: one example for each text, a label or none for
each criterion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inspector_plugin.data.folds import fold_of
from inspector_plugin.data.problems import problem_identity
from inspector_plugin.data.scored_rows import ScoredRow
from inspector_plugin.judges.tuned.plan import TuningPlan
from inspector_plugin.schema.criteria import Criterion, Scale

Array = npt.NDArray[Any]
NO_LABEL = -1


@dataclass(frozen=True)
class Examples:
    """Texts and their labels.

    Attributes:
        criteria: The criteria, in the order of the columns of `labels`.
        questions: The problem of each example.
        responses: The response of each example.
        problems: The `problem_identity` of each example.
        labels: Position of the label on the criterion's scale, [examples, criteria] int64; -1
            where the example has no score on the criterion.
        rows: The scored rows of each criterion, and which example each belongs to.
    """

    criteria: tuple[Criterion, ...]
    questions: tuple[str, ...]
    responses: tuple[str, ...]
    problems: tuple[str, ...]
    labels: Array
    rows: dict[str, list[tuple[ScoredRow, int]]]

    def __len__(self) -> int:
        return len(self.questions)

    def folds(self, folds: int) -> Array:
        """The fold of each example, by its problem: that of `inspector crossfit`, [examples]."""
        return np.array([fold_of(problem, folds) for problem in self.problems], dtype=np.int64)


def examples_of(rows: Sequence[ScoredRow], plan: TuningPlan, keys: Sequence[str]) -> Examples:
    """Put the scores of one text together.

    Args:
        rows: Scored rows, on any criteria. Where a text was scored twice on a criterion, the first
            score is learnt; all are compared with.
        plan: Names the target.
        keys: The criteria to learn, by key.
    """
    found = {row.criterion.key: row.criterion for row in rows}
    criteria = tuple(found[key] for key in keys)
    places: dict[tuple[str, str], int] = {}
    own: dict[str, list[tuple[ScoredRow, int]]] = {key: [] for key in keys}
    for row in rows:
        if row.criterion.key in own and row.can_be_judged:
            place = places.setdefault((row.question, row.response), len(places))
            own[row.criterion.key].append((row, place))
    labels = np.full((len(places), len(criteria)), NO_LABEL, dtype=np.int64)
    for column, criterion in enumerate(criteria):
        for row, place in reversed(own[criterion.key]):
            labels[place, column] = label_index(row, plan.scale_of(criterion))
    questions = tuple(question for question, _ in places)
    return Examples(
        criteria,
        questions,
        tuple(response for _, response in places),
        tuple(map(problem_identity, questions)),
        labels,
        own,
    )


def label_index(row: ScoredRow, scale: Scale) -> int:
    """The position of a row's label on its own scale, or on low/high quality."""
    return scale.labels.index(row.label) if row.scale == scale else int(row.is_high)


def why_not_tunable(
    rows: Sequence[ScoredRow], criterion: Criterion, plan: TuningPlan
) -> str | None:
    """Say why no model can learn a criterion; None if one can.

    Args:
        rows: Scored rows, on any criteria.
        criterion: The criterion.
        plan: Names the target and the folds.
    """
    if criterion.of_question:
        return "it judges the question alone, and tuned judges read responses"
    chosen = [row for row in rows if row.criterion == criterion and row.can_be_judged]
    if not chosen:
        return "no row is scored on it"
    scale = plan.scale_of(criterion)
    if any(row.scale not in (scale, criterion.scale) for row in chosen):
        return f"some scores are low/high quality only, and the labels are {scale.name}"
    examples = examples_of(chosen, plan, [criterion.key])
    labels, folds = examples.labels[:, 0], examples.folds(plan.folds)
    for index, label in enumerate(scale.labels):
        problems = len({examples.problems[place] for place in np.flatnonzero(labels == index)})
        if problems < plan.folds:
            return (
                f"label {label} occurs in {problems} problems, and {plan.folds} folds need at "
                f"least {plan.folds}; give more rows, or fewer folds"
            )
    for fold in [*range(plan.folds), None]:
        fitted, stopping = cut_validation(examples, np.flatnonzero(folds != fold), plan, fold)
        if len(set(labels[fitted])) < len(scale.labels) or not len(stopping):
            return (
                "a fold would be fitted without a row of every label, or stopped without any; give "
                "more rows, or fewer folds"
            )
    return None


def cut_validation(
    examples: Examples, chosen: Array, plan: TuningPlan, fold: int | None
) -> tuple[Array, Array]:
    """Split examples into those to fit on and those that early stopping looks at, by problem.

    Args:
        examples: All examples.
        chosen: The examples that may be learnt from: those of the other folds.
        plan: Share and seed.
        fold: The fold that is held out; None if none is.

    Returns:
        Indices of the examples to fit on, and of those to stop by; at least one problem each
        where there are two.
    """
    problems = sorted({examples.problems[place] for place in chosen})
    random = np.random.default_rng([plan.seed, plan.folds if fold is None else fold])
    count = min(max(1, round(plan.validation * len(problems))), len(problems) - 1)
    held = {problems[place] for place in random.permutation(len(problems))[:count]}
    is_held = np.array([examples.problems[place] in held for place in chosen], dtype=bool)
    return chosen[~is_held], chosen[is_held]
