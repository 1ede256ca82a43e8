"""Made negatives for training: responses that are bad in a known way, out of real solutions.

All are made from the rows given, with texts and generators of their own: none stems from the sanity
suite, which only measures. A negative depends on the seed, its source and, for another problem's
solution, on the other sources; the same input gives the same negatives.
"""

from __future__ import annotations

import random
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from inspector_plugin.data.problems import problem_identity
from inspector_plugin.judges.inspector.arithmetic import final_answer
from inspector_plugin.judges.inspector.negative_texts import (
    BARE_ANSWERS,
    OFF_TOPIC,
    REFUSALS,
    REMARKS,
    REPEATED_WORDS,
    RESTATEMENTS,
)
from inspector_plugin.judges.inspector.planted import miscopied_quantity, wrong_calculation

# Kind and what it breaks, keys of the built-in criteria.
_ALL = ("semantic_consistency", "logicality", "informativeness", "fluency", "factuality")
KINDS: Mapping[str, tuple[str, ...]] = {
    "other_solution": ("semantic_consistency", "logicality", "informativeness", "factuality"),
    "problem_repeated": ("logicality", "informativeness"),
    "word_repeated": _ALL,
    "remark": _ALL,
    "characters_shuffled": _ALL,
    "words_shuffled": _ALL,
    "refusal": ("semantic_consistency", "logicality", "informativeness"),
    "off_topic": ("semantic_consistency", "logicality", "informativeness", "factuality"),
    "cut": ("informativeness", "fluency"),
    "steps_shuffled": ("logicality",),
    "step_missing": ("logicality", "informativeness"),
    "quantity_miscopied": ("semantic_consistency", "factuality"),
    "calculation_wrong": ("logicality", "factuality"),
    "calculation_wrong_carried_on": ("logicality", "factuality"),
    "bare_answer": ("informativeness",),
}
# Kinds that are no attempt at the problem at all.
NONSENSE = (
    "other_solution",
    "problem_repeated",
    "word_repeated",
    "characters_shuffled",
    "words_shuffled",
    "refusal",
    "off_topic",
    "remark",
)
# From how many solutions of about the same length another problem's is drawn.
NEIGHBOURS = 12
MIN_STEPS, MIN_CUT = 3, 40


@dataclass(frozen=True)
class Solution:
    """A real response to a problem.

    Attributes:
        question: The problem.
        response: The response.
        problem: The problem's identity.
    """

    question: str
    response: str
    problem: str

    @classmethod
    def of(cls, question: str, response: str) -> Solution:
        """Take a problem and a response, and name the problem by `problem_identity`."""
        return cls(question, response, problem_identity(question))


@dataclass(frozen=True)
class Negative:
    """A made response.

    Attributes:
        question: The problem that it pretends to answer.
        response: The response.
        kind: A key of `KINDS`.
        problems: Identities of all problems whose text it holds, that of the question first.
        breaks: Keys of the built-in criteria on which it is bad.
    """

    question: str
    response: str
    kind: str
    problems: tuple[str, ...]
    breaks: tuple[str, ...]


def make_negatives(
    solutions: Sequence[Solution], seed: int = 0, kinds: Iterable[str] = tuple(KINDS)
) -> list[Negative]:
    """Make one negative of each kind from each solution, where the solution allows it.

    Args:
        solutions: Real solutions.
        seed: Seed of all choices.
        kinds: The kinds to make.

    Returns:
        In the order of the solutions, then of the kinds. No response equals its source.

    Raises:
        ValueError: If there is no such kind.
    """
    kinds = tuple(kinds)
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise ValueError(f"no such kinds of negatives: {', '.join(unknown)}")
    others = _Others(solutions)
    made: list[Negative] = []
    for solution in solutions:
        for kind in kinds:
            # Each choice by itself: more solutions or kinds do not change the others.
            rng = random.Random(f"{seed}/{kind}/{solution.question}/{solution.response}")
            problems: tuple[str, ...] = (solution.problem,)
            response: str | None
            if kind == "other_solution":
                other = others.near(solution, rng)
                response = None if other is None else other.response
                problems += () if other is None else (other.problem,)
            else:
                response = _MAKERS[kind](solution, rng)
            if response and response.strip() and response.strip() != solution.response.strip():
                made.append(Negative(solution.question, response, kind, problems, KINDS[kind]))
    return made


class _Others:
    """Solutions of other problems, by length."""

    def __init__(self, solutions: Sequence[Solution]) -> None:
        self._sorted = sorted(
            dict.fromkeys(solutions), key=lambda s: (len(s.response), s.problem, s.response)
        )
        self._lengths = [len(s.response) for s in self._sorted]

    def near(self, solution: Solution, rng: random.Random) -> Solution | None:
        """Draw one of the solutions of other problems that are nearest in length."""
        length = len(solution.response)
        right = bisect_left(self._lengths, length)
        left = right - 1
        found: list[Solution] = []
        while len(found) < NEIGHBOURS and (left >= 0 or right < len(self._sorted)):
            below = length - self._lengths[left] if left >= 0 else None
            above = self._lengths[right] - length if right < len(self._sorted) else None
            if above is None or (below is not None and below < above):
                candidate, left = self._sorted[left], left - 1
            else:
                candidate, right = self._sorted[right], right + 1
            if candidate.problem != solution.problem and candidate.response != solution.response:
                found.append(candidate)
        return rng.choice(found) if found else None


def _problem_repeated(solution: Solution, rng: random.Random) -> str:
    return rng.choice(RESTATEMENTS).replace("{}", solution.question.strip())


def _word_repeated(solution: Solution, rng: random.Random) -> str:
    words = re.findall(r"[^\W\d_]{3,}", solution.question)
    word = rng.choice(words) if words and rng.random() < 0.5 else rng.choice(REPEATED_WORDS)
    times = max(2, min(200, len(solution.response) // (len(word) + 1)))
    return rng.choice((" ", " ", ", ", "\n")).join([word] * max(2, rng.randint(times // 4, times)))


def _characters_shuffled(solution: Solution, rng: random.Random) -> str:
    characters = list(solution.response)
    rng.shuffle(characters)
    return "".join(characters)


def _words_shuffled(solution: Solution, rng: random.Random) -> str | None:
    words = solution.response.split()
    if len(words) < MIN_STEPS:
        return None
    rng.shuffle(words)
    return " ".join(words)


def _refusal(solution: Solution, rng: random.Random) -> str:
    return rng.choice(REFUSALS)


def _remark(solution: Solution, rng: random.Random) -> str:
    return rng.choice(REMARKS)


def _off_topic(solution: Solution, rng: random.Random) -> str:
    """Prose of about the source's length."""
    texts = list(OFF_TOPIC)
    rng.shuffle(texts)
    chosen = [texts.pop()]
    while texts and sum(map(len, chosen)) + len(texts[-1]) <= len(solution.response):
        chosen.append(texts.pop())
    return rng.choice((" ", "\n\n")).join(chosen)


def _cut(solution: Solution, rng: random.Random) -> str | None:
    """Break off in the middle, within a word where there is a long one."""
    text = solution.response.rstrip()
    if len(text) < MIN_CUT:
        return None
    place = rng.randint(len(text) * 3 // 10, len(text) * 7 // 10)
    inside = [m.start() + 2 for m in re.finditer(r"[^\W\d_]{4,}", text[place:])]
    return text[: place + (inside[0] if inside and inside[0] < 40 else 0)].rstrip(" .!?")


def _steps(text: str) -> tuple[list[str], str]:
    """The steps of a response, and what stands between them: lines, or else sentences."""
    lines = [line for line in text.strip().split("\n") if line.strip()]
    if len(lines) >= MIN_STEPS:
        return lines, "\n"
    sentences = re.split(r"(?<=[.!?])\s+(?=[A-Z$\\(])", text.strip())
    return sentences, " "


_ITEM = re.compile(r"^(\s*(?:\*\*)?(?:Step )?)(\d{1,2})([.):])")


def _renumbered(steps: Sequence[str]) -> list[str]:
    """Number the items anew, so that their numbers do not give the change away."""
    numbered, count = [], 0
    for step in steps:
        item = _ITEM.match(step)
        if item is not None:
            count += 1
            step = f"{item[1]}{count}{step[item.start(3) :]}"
        numbered.append(step)
    return numbered


def _steps_shuffled(solution: Solution, rng: random.Random) -> str | None:
    """All steps but the last, which is the answer, in another order."""
    steps, between = _steps(solution.response)
    before = steps[:-1]
    if len(set(before)) < MIN_STEPS - 1:
        return None
    shuffled = list(before)
    while shuffled == before:
        rng.shuffle(shuffled)
    return between.join(_renumbered([*shuffled, steps[-1]]))


def _step_missing(solution: Solution, rng: random.Random) -> str | None:
    """Leave out a step that holds a number, but not the last."""
    steps, between = _steps(solution.response)
    places = [n for n, step in enumerate(steps[:-1]) if re.search(r"\d.*=|=.*\d", step)]
    if len(steps) < MIN_STEPS or not places:
        return None
    place = rng.choice(places)
    return between.join(_renumbered(steps[:place] + steps[place + 1 :]))


def _bare_answer(solution: Solution, rng: random.Random) -> str | None:
    boxed = re.findall(r"\\boxed\{([^{}]{1,40})\}", solution.response)
    answer = final_answer(solution.response)
    text = boxed[-1] if boxed else answer.text if answer is not None else None
    return None if text is None else rng.choice(BARE_ANSWERS).format(text)


_MAKERS: Mapping[str, Callable[[Solution, random.Random], str | None]] = {
    "problem_repeated": _problem_repeated,
    "word_repeated": _word_repeated,
    "characters_shuffled": _characters_shuffled,
    "words_shuffled": _words_shuffled,
    "refusal": _refusal,
    "off_topic": _off_topic,
    "remark": _remark,
    "cut": _cut,
    "steps_shuffled": _steps_shuffled,
    "step_missing": _step_missing,
    "quantity_miscopied": lambda s, rng: miscopied_quantity(s.question, s.response, rng),
    "calculation_wrong": lambda s, rng: wrong_calculation(s.response, rng, carry_on=False),
    "calculation_wrong_carried_on": lambda s, rng: wrong_calculation(s.response, rng, True),
    "bare_answer": _bare_answer,
}
