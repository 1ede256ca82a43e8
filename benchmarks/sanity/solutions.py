"""Right solutions in five styles, and the same styles with changed results or steps."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import expressions
from expressions import Values, number
from problems import Problem, Step, fill

STYLES = ("terse", "steps", "prose", "markdown", "verbose")
TIMES = ("*", "×")
LATEX_TIMES = (r"\times", r"\cdot")
_ANSWER_IN = {"es": "La respuesta es", "de": "Die Antwort ist", "fr": "La réponse est"}


@dataclass(frozen=True)
class Writing:
    """What is to be written: a problem, its results, and which steps in which order.

    Attributes:
        problem: The problem.
        values: Facts and results, perhaps changed.
        order: The places of the steps that are written.
    """

    problem: Problem
    values: Values
    order: tuple[int, ...]

    @property
    def steps(self) -> list[Step]:
        """The steps that are written."""
        return [self.problem.steps[place] for place in self.order]

    @property
    def answer(self) -> str:
        """The answer: the letter of the option in a multiple-choice problem."""
        value = self.values[self.problem.steps[-1].name]
        return f"({self.problem.letter(value)})" if self.problem.options else number(value)

    @property
    def boxed(self) -> str:
        """The answer in a box."""
        value = self.values[self.problem.steps[-1].name]
        if self.problem.options:
            return rf"\boxed{{{self.problem.letter(value)}}}"
        return rf"\boxed{{{number(value, latex=True)}}}"

    @property
    def end(self) -> str:
        """The last sentence, with the option chosen in a multiple-choice problem."""
        end = fill(self.problem.end, self.values, self.in_latex)
        if not self.problem.options:
            return end
        chosen = self.values[self.problem.steps[-1].name] in self.problem.options
        return f"{end} {'This is' if chosen else 'The closest to this is'} option {self.answer}."

    @property
    def in_latex(self) -> bool:
        """Whether sentences are written with LaTeX."""
        return self.problem.dataset == "math"

    def plain(self, step: Step, times: str) -> str:
        """The equation of a step in plain text."""
        left = expressions.plain(step.calc, self.values, times)
        return f"{left} = {number(self.values[step.name])}"

    def latex(self, step: Step, times: str) -> str:
        """The equation of a step in LaTeX."""
        left = expressions.latex(step.calc, self.values, times)
        return f"{left} = {number(self.values[step.name], latex=True)}"

    def equation(self, step: Step, draw: random.Random) -> str:
        """The equation of a step as sentences hold it."""
        if self.in_latex:
            return self.latex(step, draw.choice(LATEX_TIMES))
        return self.plain(step, draw.choice(TIMES))

    def say(self, step: Step, draw: random.Random) -> str:
        """A step as a sentence."""
        return fill(step.say, self.values, self.in_latex, eq=self.equation(step, draw))


def right(problem: Problem) -> Writing:
    """The right solution, unabridged."""
    return Writing(problem, problem.values, tuple(range(len(problem.steps))))


def write(writing: Writing, style: str, draw: random.Random) -> str:
    """Write a solution in one of `STYLES`."""
    writers = {
        "terse": _terse,
        "steps": _steps,
        "prose": _prose,
        "markdown": _markdown,
        "verbose": _verbose,
    }
    return writers[style](writing, draw)


def write_in_other_language(writing: Writing, draw: random.Random) -> str:
    """Write the solution in the language of its translation."""
    problem = writing.problem
    equations = {
        f"eq{place}": writing.equation(step, draw) for place, step in enumerate(problem.steps, 1)
    }
    text = fill(problem.translation, writing.values, writing.in_latex, **equations)
    return f"{text} {_ANSWER_IN[problem.language]} {writing.answer}." if problem.options else text


def bare_answer(writing: Writing, draw: random.Random) -> str:
    """Write the answer and nothing else."""
    answer, unit = writing.answer, writing.problem.steps[-1].unit
    if writing.problem.options:
        return draw.choice([answer, answer[1], f"The answer is {answer}.", f"Answer: {answer}"])
    if writing.in_latex:
        boxed = f"${writing.boxed}$"
        return draw.choice([answer, boxed, f"The answer is {answer}.", f"Answer: {boxed}"])
    whole = f"{answer} {unit}"
    return draw.choice([answer, f"{whole}.", f"The answer is {whole}.", f"#### {answer}"])


def _with_unit(equation: str, step: Step) -> str:
    return f"{equation} {step.unit}".rstrip()


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _terse(writing: Writing, draw: random.Random) -> str:
    times, form = draw.choice(TIMES), draw.randrange(3)
    equations = [_with_unit(writing.plain(step, times), step) for step in writing.steps]
    if form == 0:
        return "; ".join(equations) + f". Answer: {writing.answer}"
    if form == 1:
        return "\n".join([*equations, f"The answer is {writing.answer}."])
    labelled = [
        f"{_capital(step.label)}: {equation}"
        for step, equation in zip(writing.steps, equations, strict=True)
    ]
    return "\n".join([*labelled, writing.answer])


def _steps(writing: Writing, draw: random.Random) -> str:
    times, form = draw.choice(TIMES), draw.randrange(4)
    parts = []
    for place, step in enumerate(writing.steps, 1):
        equation = _with_unit(writing.plain(step, times), step)
        parts.append(
            (
                f"Step {place}: Find the {step.label}.\n{equation}",
                f"{place}. {_capital(step.label)}: {equation}.",
                f"{place}) To find the {step.label}, we calculate {equation}.",
                f"Step {place}. {writing.say(step, draw)}",
            )[form]
        )
    opening = ("", "Let's break it down step by step.\n\n", "Here is how to solve it.\n\n")
    gap = "\n\n" if form in (0, 3) else "\n"
    last = f"{gap}{writing.end}" + ("" if writing.problem.options else f" Answer: {writing.answer}")
    return draw.choice(opening) + gap.join(parts) + last


def _prose(writing: Writing, draw: random.Random) -> str:
    asked = writing.problem.asked
    openings = ("", "", f"We want to know {asked}. ", f"The task is to find {asked}. ")
    return draw.choice(openings) + " ".join([*_sentences(writing, draw), writing.end])


def _markdown(writing: Writing, draw: random.Random) -> str:
    times, form = draw.choice(LATEX_TIMES), draw.randrange(3)
    lines = []
    for place, step in enumerate(writing.steps, 1):
        equation, label = writing.latex(step, times), step.label
        unit = rf"\text{{ {step.unit}}}" if step.unit else ""
        lines.append(
            (
                f"- **{_capital(label)}:** ${equation}{unit}$",
                f"**Step {place}: {label}**\n\n\\[ {equation}{unit} \\]\n",
                f"{place}. {_capital(label)}: ${equation}{unit}$",
            )[form]
        )
    heading = ("### Solution\n\n", "", "## Calculation\n\n")[form]
    ends = [f"**Answer:** ${writing.boxed}$", f"The final answer is ${writing.boxed}$."]
    if writing.problem.dataset == "gsm8k":
        ends.append(f"{writing.end}\n#### {writing.answer}")
    return f"{heading}{chr(10).join(lines)}\n\n{draw.choice(ends)}"


def _verbose(writing: Writing, draw: random.Random) -> str:
    problem = writing.problem
    openings = (
        f"Let us first be clear about what the problem asks for: it is {problem.asked}.",
        f"Before we begin, let us read the problem carefully. We have to find {problem.asked}.",
        f"To answer this question we must work out {problem.asked}, which takes a few steps.",
    )
    leads = (
        ("We start with the {}.", "A good place to begin is the {}.", "First, look at the {}."),
        ("Next comes the {}.", "Now we can turn to the {}.", "With that, let us find the {}."),
    )
    sentences = _sentences(writing, draw)
    parts = [
        f"{draw.choice(leads[place > 0]).format(step.label)} {sentence}"
        for place, (step, sentence) in enumerate(zip(writing.steps, sentences, strict=True))
    ]
    left, right_side = problem.check
    if writing.in_latex:
        times = draw.choice(LATEX_TIMES)
        check = expressions.latex(left, writing.values, times)
    else:
        times = draw.choice(TIMES)
        check = expressions.plain(left, writing.values, times)
    value = number(expressions.evaluate(right_side, writing.values), writing.in_latex)
    said = fill(problem.check_say, writing.values, writing.in_latex, eq=f"{check} = {value}")
    checks = ("We can check this: {}.", "As a check, {}.", "Let us make sure: {}.")
    return "\n\n".join(
        [draw.choice(openings), *parts, draw.choice(checks).format(said), writing.end]
    )


def _sentences(writing: Writing, draw: random.Random) -> Sequence[str]:
    return [writing.say(step, draw) for step in writing.steps]
