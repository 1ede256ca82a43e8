"""What is wrong with a rubric: faults of items that can be told from their text and from data.

The rules on texts look at words. They find what is plainly there, and ask the author about the
rest: what is certainly a fault is an error, what may be one a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from inspector_plugin.rubrics.item_texts import (
    double_claim,
    likeness,
    mentions_answer,
    named_answer,
    unverifiable_word,
    vague_word,
)
from inspector_plugin.rubrics.lint_data import LintData
from inspector_plugin.rubrics.nonsense import states_nothing, words_of
from inspector_plugin.rubrics.propose import INSTRUCTIONS
from inspector_plugin.schema.criteria import Criterion
from inspector_plugin.schema.rubrics import RubricItem

_TOLD = tuple(map(words_of, INSTRUCTIONS))
ERROR, WARNING = "error", "warning"
# Items that share so much of their words, or whose verdicts go together so closely, say the same.
MOST_ALIKE = 0.7
MOST_CORRELATED = 0.9
# From so many verdicts on, an item whose answer is (nearly) always the same tells nothing.
FEWEST_VERDICTS = 10
NEARLY_ALL = 0.98


@dataclass(frozen=True)
class Finding:
    """One fault.

    Attributes:
        severity: "error" or "warning".
        rule: The name of the rule, such as "vague".
        item: The item's key, after its problem where it is for one; "rubric" for the whole.
        problem: What is wrong.
        remedy: What to do about it.
    """

    severity: str
    rule: str
    item: str
    problem: str
    remedy: str


def lint(criterion: Criterion, data: LintData | None = None) -> list[Finding]:
    """Find the faults of a rubric.

    Args:
        criterion: The rubric.
        data: What the problems and their answers are, and what judges said on the items; None
            for the rules that need texts alone.

    Returns:
        The faults, those of the items of the data set first, then problem by problem.
    """
    data = data or LintData()
    findings = list(_of_items(criterion.items, "", data, None))
    for instance in criterion.instances:
        findings += _of_items(instance.items, f"{instance.problem} ", data, instance.problem)
        findings += _across(criterion.items, instance.items, instance.problem)
    findings += _of_verdicts(criterion, data)
    findings += _of_problems(criterion, data)
    return findings


def _of_items(
    items: Sequence[RubricItem], prefix: str, data: LintData, problem: str | None
) -> Iterator[Finding]:
    answers, passages = data.answers(problem), data.passages(problem)
    for item in items:
        name = f"{prefix}{item.key}"
        fault = states_nothing(item.text, passages, _TOLD, item.anchors is not None)
        if fault is None:
            yield from _of_text(item, name, answers)
        else:
            yield Finding(ERROR, fault.rule, name, fault.problem, fault.remedy)
        if item.weight == 0:
            yield Finding(
                WARNING,
                "weightless",
                f"{prefix}{item.key}",
                "its weight is 0: it costs a verdict and counts for nothing",
                "drop it, or give it a weight",
            )
    for first, second in combinations(items, 2):
        yield from _alike(first, second, f"{prefix}{second.key}")


def _of_text(item: RubricItem, name: str, answers: Sequence[tuple[str, str]]) -> Iterator[Finding]:
    word = unverifiable_word(item.text)
    if word is not None:
        yield Finding(
            ERROR,
            "unverifiable",
            name,
            f"{word!r} cannot be checked from the problem and the response alone",
            "ask for something that stands in the response",
        )
    answer = named_answer(item.text) or next(
        (given for question, given in answers if mentions_answer(item.text, question, given)), None
    )
    if answer is not None:
        yield Finding(
            ERROR,
            "leaks",
            name,
            f"it tells the answer ({answer})",
            "judges have no reference answer: ask how the response gets to its own",
        )
    if item.anchors is not None:  # they say what is meant
        return
    word = vague_word(item.text)
    if word is not None:
        yield Finding(
            WARNING,
            "vague",
            name,
            f"{word!r} leaves open what is meant",
            "say what in the response shows it",
        )
    joint = double_claim(item.text)
    if joint is not None:
        yield Finding(
            WARNING,
            "double-barrelled",
            name,
            f"it makes two claims ({joint!r}), and one answer cannot serve both",
            "split it into two items",
        )


def _alike(first: RubricItem, second: RubricItem, name: str) -> Iterator[Finding]:
    if likeness(first.text, second.text) >= MOST_ALIKE:
        yield Finding(
            ERROR,
            "overlapping",
            name,
            f"it says nearly what {first.key} says",
            "drop one of them, or say what sets them apart",
        )


def _across(
    shared: Sequence[RubricItem], own: Sequence[RubricItem], problem: str
) -> Iterator[Finding]:
    """Items for a problem beside those for all problems."""
    for first in shared:
        for second in own:
            yield from _alike(first, second, f"{problem} {second.key}")


def _of_verdicts(criterion: Criterion, data: LintData) -> Iterator[Finding]:
    """What judges' verdicts on the data tell: of items for a data set."""
    columns = {item.key: data.verdicts(criterion, item) for item in criterion.items}
    for item in criterion.items:
        values = columns[item.key]
        known = values[~np.isnan(values)]
        if len(known) < FEWEST_VERDICTS:
            continue
        holds = float((known > 0.5).mean())
        fails = float((known < 0.5).mean())
        for often, word, remedy in (
            (holds, "true", "ask for something that worse responses lack"),
            (fails, "false", "ask for something that better responses have, or drop it"),
        ):
            if often >= NEARLY_ALL:
                yield Finding(
                    ERROR,
                    f"always {word}",
                    item.key,
                    f"it is {word} of {often:.0%} of {len(known)} responses: it tells none apart",
                    remedy,
                )
    for first, second in combinations(criterion.items, 2):
        both = np.stack([columns[first.key], columns[second.key]])
        both = both[:, ~np.isnan(both).any(axis=0)]
        if both.shape[1] < FEWEST_VERDICTS or (np.ptp(both, axis=1) == 0).any():
            continue
        correlation = float(np.asarray(np.corrcoef(both))[0, 1])
        if abs(correlation) > MOST_CORRELATED:
            yield Finding(
                ERROR,
                "overlapping",
                second.key,
                f"its verdicts follow those on {first.key} (r {correlation:.2f}, "
                f"{both.shape[1]} responses)",
                "drop one of them, or say what sets them apart",
            )


def _of_problems(criterion: Criterion, data: LintData) -> Iterator[Finding]:
    """Whether the rubric is for the problems of the data."""
    if not criterion.instances or not data.problems:
        return
    missing = [p for p in data.problems if criterion.for_problem(p) is None]
    if missing:
        none = len(missing) == len(data.problems)
        yield Finding(
            ERROR if none else WARNING,
            "other problems",
            "rubric",
            f"it has no items for {len(missing)} of the {len(data.problems)} problems of the data",
            "generate items for them; their responses are left unscored",
        )
