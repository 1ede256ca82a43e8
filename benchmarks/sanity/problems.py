"""The problems of the suite as they are authored: facts, and steps with exact arithmetic."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import expressions
import yaml
from expressions import ArithmeticFault, Values, decimals, evaluate, number

HERE = Path(__file__).parent
# The file of each group, and the data set in whose style its problems are.
GROUPS = {"word": "gsm8k", "mathematics": "math", "science": "gpqa"}
LANGUAGES = ("es", "de", "fr")
_NAME = re.compile(r"<([a-z_][a-z0-9_]*)>")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Step:
    """A step of the solution: one calculation.

    Attributes:
        name: The name of the result.
        calc: The calculation.
        label: What the result is, as a noun phrase.
        unit: The unit of the result, perhaps empty.
        say: The step as a sentence; <eq> stands for the equation.
    """

    name: str
    calc: ast.expr
    label: str
    unit: str
    say: str


@dataclass(frozen=True)
class Problem:
    """A problem with its solution.

    Attributes:
        name: Its name in the suite.
        dataset: The data set in whose style it is.
        text: The problem, with <name> for each fact.
        facts: The quantities that the problem gives.
        asked: What is asked for, as a clause.
        steps: The steps; the last one finds the answer.
        end: The last sentence.
        check: A calculation, and what it has to come to.
        check_say: The check as a clause.
        language: The language of the translation.
        translation: The solution in that language; <eq1> is the equation of the first step.
        options: The values to choose from, if it is a multiple-choice problem.
        option: How an option is written.
    """

    name: str
    dataset: str
    text: str
    facts: Mapping[str, Fraction]
    asked: str
    steps: tuple[Step, ...]
    end: str
    check: tuple[ast.expr, ast.expr]
    check_say: str
    language: str
    translation: str
    options: tuple[Fraction, ...] = ()
    option: str = ""
    values: Values = field(default_factory=dict)

    @property
    def answer(self) -> Fraction:
        """The answer."""
        return self.values[self.steps[-1].name]

    @property
    def question(self) -> str:
        """The problem as it is put."""
        lines = [fill(self.text, self.facts)]
        for letter, value in zip("ABCD", self.options, strict=False):
            lines.append(f"({letter}) " + fill(self.option, {"value": value}))
        return "\n".join(lines)

    @property
    def numbers(self) -> set[str]:
        """The numbers that the problem's text holds."""
        return set(_NUMBER.findall(fill(self.text, self.facts)))

    def letter(self, value: Fraction) -> str:
        """The letter of the right option; for another value, that of the nearest wrong one."""
        right = self.options.index(self.answer)
        if value == self.answer:
            return "ABCD"[right]
        wrong = [place for place in range(len(self.options)) if place != right]
        return "ABCD"[min(wrong, key=lambda place: abs(self.options[place] - value))]


def solve(
    problem: Problem,
    facts: Mapping[str, Fraction] | None = None,
    wrong: Mapping[str, Fraction] | None = None,
) -> dict[str, Fraction]:
    """Calculate all results.

    Args:
        problem: The problem.
        facts: Facts in place of those of the problem.
        wrong: Results in place of those that the calculation gives.

    Returns:
        Facts and results by name.

    Raises:
        ArithmeticFault: If a result is not exact.
    """
    values = {**problem.facts, **(facts or {})}
    for step in problem.steps:
        result = evaluate(step.calc, values)
        values[step.name] = (wrong or {}).get(step.name, result)
    return values


def fill(text: str, values: Values, latex: bool = False, **texts: str) -> str:
    """Put numbers and texts into a template.

    Raises:
        KeyError: If the template names what there is not.
    """

    def replacement(match: re.Match[str]) -> str:
        name = match[1]
        return texts[name] if name in texts else number(values[name], latex)

    return _NAME.sub(replacement, text)


def read_problems() -> list[Problem]:
    """Read all problems and check their arithmetic.

    Returns:
        The problems, those of different groups in turn, so that a few of them are of all groups.
    """
    groups = []
    for group, dataset in GROUPS.items():
        text = (HERE / f"{group}.yaml").read_text(encoding="utf-8")
        groups.append([_problem(entry, dataset) for entry in yaml.safe_load(text)])
    words, mathematics, science = groups
    turns = zip(words[::2], mathematics, words[1::2], science, strict=True)
    problems = [problem for turn in turns for problem in turn]
    for problem in problems:
        _check(problem)
    return problems


def as_clean(problem: Problem, values: Values) -> bool:
    """Whether changed results are of the kind that the right ones are: whole, positive, short."""
    for step in problem.steps:
        right, value = problem.values[step.name], values[step.name]
        digits = decimals(right)
        if value <= 0:
            return False
        if digits is None:
            if value.denominator > 2 * right.denominator or (right < 1) != (value < 1):
                return False
        elif (decimals(value) or 0) > digits + bool(digits) or decimals(value) is None:
            return False
    return True


def _problem(entry: Mapping[str, Any], dataset: str) -> Problem:
    language = next(each for each in LANGUAGES if each in entry)
    calculation, say = _split(entry["check"], 2)
    left, right = map(expressions.parse, calculation.split(" = "))
    problem = Problem(
        name=entry["id"],
        dataset=dataset,
        text=entry["question"],
        facts={name: Fraction(str(value)) for name, value in entry["facts"].items()},
        asked=entry["asked"],
        steps=tuple(map(_step, entry["steps"])),
        end=entry["end"],
        check=(left, right),
        check_say=say,
        language=language,
        translation=entry[language],
        options=tuple(Fraction(str(value)) for value in entry.get("options", ())),
        option=entry.get("option", ""),
    )
    return replace(problem, values=solve(problem))


def _step(text: str) -> Step:
    calculation, label, unit, say = _split(text, 4)
    name, calc = calculation.split(" = ")
    return Step(name, expressions.parse(calc), label, unit, say)


def _split(text: str, count: int) -> list[str]:
    parts = [part.strip() for part in text.split("|")]
    if len(parts) != count:
        raise ValueError(f"{text!r} has {len(parts)} parts, not {count}")
    return parts


def _check(problem: Problem) -> None:
    """Refuse a problem that does not hold together."""
    left, right = (evaluate(side, problem.values) for side in problem.check)
    faults = {
        "the check does not come out": left != right,
        "a fact is not in the text": any(f"<{name}>" not in problem.text for name in problem.facts),
        "a fact is not used": not set(problem.facts)
        <= set().union(*(expressions.names_in(step.calc) for step in problem.steps)),
        "a step lacks its equation": any("<eq>" not in step.say for step in problem.steps),
        "the answer is no option": bool(problem.options) and problem.answer not in problem.options,
        "the translation lacks an equation": any(
            f"<eq{place}>" not in problem.translation for place in range(1, len(problem.steps) + 1)
        ),
        "the end lacks the answer": f"<{problem.steps[-1].name}>" not in problem.end,
    }
    wrong = [fault for fault, found in faults.items() if found]
    if wrong:
        raise ArithmeticFault(f"{problem.name}: {'; '.join(wrong)}")
