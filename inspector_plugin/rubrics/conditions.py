"""What responses are judged by when rubrics are evaluated: none, rubrics, another problem's."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from inspector_plugin.data.labelled import LabelledProblem
from inspector_plugin.errors import CriteriaError, DataError
from inspector_plugin.schema.criteria import RUBRIC, Criterion, own_rubric

NO_RUBRIC = Criterion(
    "overall_quality",
    "Overall quality",
    "How well the response answers the question or does what it asks: right, complete, helpful and "
    "to the point.",
)
NO_RUBRIC_NAME, HUMAN_NAME, OTHER_NAME = "no rubric", "human-written", "another problem's"
_SCORE_LINE = re.compile(r"^\s*score\s+(\d)\s*[:.]\s*(.+)$", re.IGNORECASE)


@dataclass(frozen=True)
class Condition:
    """One way to judge.

    Attributes:
        name: What tables call it.
        criterion_for: Gives the criterion for a problem; None if there is none for it.
        note: What there is to say of it.
    """

    name: str
    criterion_for: Callable[[LabelledProblem], Criterion | None]
    note: str | None = None


def without_rubric() -> Condition:
    """Judge overall quality, by no rubric."""
    return Condition(NO_RUBRIC_NAME, lambda problem: NO_RUBRIC)


def by_rubric(name: str, rubric: Criterion) -> Condition:
    """Judge by a rubric: one for all problems, or the instance for each."""
    used = [instance for instance in rubric.instances if instance.transductive]
    note = (
        f"{name}: {len(used)} of its {len(rubric.instances)} rubrics were made from responses that "
        "may be among those judged"
        if used
        else None
    )
    return Condition(name, lambda problem: rubric.for_problem(problem.problem), note)


def by_human_rubric() -> Condition:
    """Judge by the rubric that people wrote for the problem."""

    def criterion_for(problem: LabelledProblem) -> Criterion | None:
        return None if problem.rubric is None else rubric_in_prose(problem.rubric)

    return Condition(HUMAN_NAME, criterion_for)


def by_another_problem(
    of: Condition, problems: Sequence[LabelledProblem], seed: int
) -> Condition | None:
    """Judge by what another condition has for another problem, to see how much the match matters.

    Args:
        of: The condition whose criteria are shuffled.
        problems: The problems.
        seed: Seed of the shuffle.

    Returns:
        None if the condition has one criterion for all, or for one problem only.
    """
    own = {each.problem: of.criterion_for(each) for each in problems}
    known = [problem for problem, criterion in own.items() if criterion is not None]
    fingerprints = {
        problem: criterion.fingerprint for problem, criterion in own.items() if criterion
    }
    if len(set(fingerprints.values())) < 2:
        return None
    order = [known[place] for place in np.random.default_rng(seed).permutation(len(known))]
    other: dict[str, Criterion | None] = {}
    for place, problem in enumerate(order):
        # The next problem in the shuffled circle whose rubric says something else.
        for step in range(1, len(order)):
            candidate = order[(place + step) % len(order)]
            if fingerprints[candidate] != fingerprints[problem]:
                other[problem] = own[candidate]
                break
    return Condition(f"{OTHER_NAME} ({of.name})", lambda problem: other.get(problem.problem))


def rubric_in_prose(text: str) -> Criterion:
    """Read a rubric as people write it for 1-5 scores: a description, then lines "Score 1: ...".

    Where no such lines stand for all of 1 to 5, the whole text is the definition.
    """
    description, anchors = [], {}
    for line in text.splitlines():
        found = _SCORE_LINE.match(line)
        if found is None:
            description.append(line)
        else:
            anchors[int(found[1])] = found[2].strip()
    definition = "\n".join(description).strip().removeprefix("[").removesuffix("]").strip()
    try:
        if definition and set(anchors) == {1, 2, 3, 4, 5}:
            return Criterion(RUBRIC, "Rubric", definition, anchors=anchors)
    except CriteriaError:  # a text that cannot stand as an anchor stands in the definition
        pass
    return own_rubric(text)


def rubric_words(criterion: Criterion) -> list[str]:
    """The statements of a criterion: its items but for pitfalls, or definition and best anchor."""
    if criterion.items:
        return [item.text for item in criterion.items if not item.is_pitfall]
    best = criterion.anchors.get(criterion.scale.maximum)
    return [criterion.definition, *([best] if best else [])]


def stuffed(response: str, criterion: Criterion) -> str:
    """Add a rubric's words to a response, as one would who wants to please it."""
    claims = "\n".join(f"- {text}" for text in rubric_words(criterion))
    return f"{response}\n\nThis response meets every requirement:\n{claims}"


def require_use(conditions: Sequence[Condition], problems: Sequence[LabelledProblem]) -> None:
    """Refuse a rubric that is for none of the problems.

    Raises:
        DataError: If there is one.
    """
    for condition in conditions:
        if not any(condition.criterion_for(problem) for problem in problems):
            raise DataError(
                f"Rubrics {condition.name!r} are for none of the problems; they were made for "
                "other data."
            )


def made_from(generator: Mapping[str, object]) -> frozenset[str]:
    """The problems that a rubric file says its rubric was made from, by their identity."""
    problems = generator.get("problems")
    return frozenset(map(str, problems)) if isinstance(problems, (list, tuple)) else frozenset()
