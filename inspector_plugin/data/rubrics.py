"""Which items of a rubric are for which request: rubrics of single problems, joined by problem."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from inspector_plugin.data.problems import problem_identity
from inspector_plugin.errors import DataError, count_of
from inspector_plugin.schema.criteria import Criterion
from inspector_plugin.schema.records import JudgeRequest

NO_ITEMS_FOR_PROBLEM = "the rubric has no items for this problem"


def for_problem(criteria: tuple[Criterion, ...], question: str) -> tuple[Criterion, ...]:
    """Put the rubric of a problem in place of one that has items for many.

    Args:
        criteria: The criteria.
        question: The problem, in whatever form it is written; see `problem_identity`.

    Returns:
        The criteria for this problem. A rubric without items for it stays as it is;
        `has_no_items` tells.
    """
    for criterion in criteria:
        if criterion.instances:
            break
    else:  # as nearly always
        return criteria
    problem = problem_identity(question)
    return tuple(criterion.for_problem(problem) or criterion for criterion in criteria)


def with_own_rubrics(request: JudgeRequest) -> JudgeRequest:
    """Return a request whose rubrics are those of its problem; see `for_problem`."""
    criteria = for_problem(request.criteria, request.question)
    return request if criteria is request.criteria else replace(request, criteria=criteria)


def has_no_items(criterion: Criterion) -> bool:
    """Whether a criterion of a request, after `for_problem`, has no items for its problem."""
    return bool(criterion.instances)


def require_items(criteria: Sequence[Criterion], questions: Iterable[str], where: str) -> None:
    """Refuse a rubric that was made for other problems.

    Args:
        criteria: The criteria.
        questions: The problems that responses will be judged on.
        where: What has these problems, for the message.

    Raises:
        DataError: If a rubric with items for single problems has none for any of these.
    """
    families = [criterion for criterion in criteria if criterion.instances]
    if not families:
        return
    problems = {problem_identity(question) for question in questions}
    for family in families:
        if problems and not any(family.for_problem(problem) for problem in problems):
            raise DataError(
                f"The rubric {family.key!r} has items for "
                f"{count_of(len(family.instances), 'problem')}, and none of them is among the "
                f"{len(problems)} of {where}; give the rubric that was "
                "made for these."
            )
