"""All responses to a problem that are not right solutions, made of the same structure."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

import expressions
from expressions import ArithmeticFault, decimals, number
from problems import Problem, as_clean, solve
from solutions import LATEX_TIMES, STYLES, TIMES, Writing, right, write

# Styles that changed solutions are written in; the check of a verbose one would tell the change.
CHANGED_STYLES = ("steps", "prose", "markdown")
_KEYS = "qwertyuiopasdfghjklzxcvbnm"
_SIGNS = "#%&/()=?!<>[]{}~+*-_.:;,^|0123456789"
Changed = tuple[str, str, str]


def wrong_calculations(problem: Problem, draw: random.Random, count: int) -> Iterator[Changed]:
    """Plant a wrong result in different steps, one at a time.

    Yields:
        The response, the style it is written in, and the change in words.
    """
    places = list(range(len(problem.steps)))
    draw.shuffle(places)
    made = 0
    for place in places:
        step = problem.steps[place]
        for wrong in _candidates(problem.values[step.name], draw):
            values = _consequences(problem, wrong={step.name: wrong})
            if values is not None:
                style = draw.choice(CHANGED_STYLES)
                writing = Writing(problem, values, tuple(range(len(problem.steps))))
                right_value = number(problem.values[step.name])
                change = f"{step.label}: {number(wrong)} in place of {right_value}"
                yield write(writing, style, draw), style, change
                made += 1
                break
        if made == count:
            return
    if not made:
        raise ArithmeticFault(f"{problem.name}: no error can be planted")


def miscopied(problem: Problem, draw: random.Random) -> Changed:
    """Copy one quantity of the problem wrongly; all calculations are right."""
    names = list(problem.facts)
    draw.shuffle(names)
    for name in names:
        for wrong in _candidates(problem.facts[name], draw):
            if number(wrong) in problem.numbers:
                continue
            values = _consequences(problem, facts={name: wrong})
            if values is not None:
                style = draw.choice(CHANGED_STYLES)
                writing = Writing(problem, values, tuple(range(len(problem.steps))))
                change = f"{name}: {number(wrong)} in place of {number(problem.facts[name])}"
                return write(writing, style, draw), style, change
    raise ArithmeticFault(f"{problem.name}: no quantity can be miscopied")


def missing_step(problem: Problem, draw: random.Random) -> Changed:
    """Leave out a step before the last."""
    place = draw.randrange(len(problem.steps) - 1)
    order = tuple(each for each in range(len(problem.steps)) if each != place)
    style = draw.choice(CHANGED_STYLES)
    response = write(Writing(problem, problem.values, order), style, draw)
    return response, style, f"left out: {problem.steps[place].label}"


def shuffled_steps(problem: Problem, draw: random.Random) -> Changed:
    """Put the steps into an order in which a result is used before it is found."""
    orders = [o for o in itertools.permutations(range(len(problem.steps))) if _breaks(problem, o)]
    order = draw.choice(orders)
    style = draw.choice(CHANGED_STYLES)
    response = write(Writing(problem, problem.values, order), style, draw)
    return response, style, "order: " + ", ".join(str(place + 1) for place in order)


def cut_off(problem: Problem, draw: random.Random) -> Changed:
    """Break a solution off in the middle of a word, before the last calculation."""
    style = draw.choice(("steps", "prose", "markdown", "verbose"))
    whole = write(right(problem), style, draw)
    writing, last = right(problem), problem.steps[-1]
    equations = [writing.plain(last, times) for times in TIMES]
    equations += [writing.latex(last, times) for times in LATEX_TIMES]
    places = [whole.find(equation) for equation in equations]
    end = int(min(place for place in places if place >= 0) * draw.uniform(0.6, 1))
    while end > 1 and not (whole[end - 1].isalpha() and whole[end].isalpha()):
        end -= 1
    return whole[:end], style, f"cut after {end} of {len(whole)} characters"


def other_solution(
    problem: Problem, problems: Sequence[Problem], draw: random.Random
) -> tuple[str, str]:
    """Take a right solution of another problem in the same style.

    Returns:
        The response, and the name of the other problem.
    """
    others = [
        other
        for other in problems
        if other.dataset == problem.dataset and other.answer != problem.answer
    ]
    other = draw.choice(others)
    return write(right(other), draw.choice(STYLES), draw), other.name


def repeated_problem(problem: Problem, draw: random.Random) -> str:
    """Say the problem again."""
    question = problem.question
    forms = (
        "{0}",
        "{0}",
        "Question: {0}",
        "{0}\n\n{0}",
        "The problem says the following. {0}",
        "So the question is this: {0}",
    )
    return draw.choice(forms).format(question)


def repeated_word(words: Sequence[str], draw: random.Random) -> str:
    """Say one word over and over."""
    return draw.choice((" ", " ", ", ", "\n")).join([draw.choice(words)] * draw.randint(12, 70))


def gibberish(texts: Sequence[str], draw: random.Random) -> str:
    """Take gibberish that was written by hand, or make some."""
    form = draw.randrange(3)
    if form == 0:
        return draw.choice(texts)
    letters = _KEYS if form == 1 else _SIGNS
    words = (
        "".join(draw.choice(letters) for _ in range(draw.randint(2, 9)))
        for _ in range(draw.randint(6, 40))
    )
    return " ".join(words)


def in_turn(texts: Sequence[str], place: int, start: int) -> str:
    """Take one of several texts, so that all are used equally often."""
    return texts[(place + start) % len(texts)]


def _candidates(value: Fraction, draw: random.Random) -> list[Fraction]:
    """Wrong values for a right one with as many decimals, in random order, near ones first."""
    digits = decimals(value)
    if digits is None:
        near, far = [Fraction(move, value.denominator) for move in (1, 2, -1, 3, -2)], []
    else:
        unit = Fraction(1, 10**digits)
        reach = max(5, int(value / unit * 2 / 5))
        moves = [sign * move * unit for move in range(1, min(reach, 200) + 1) for sign in (1, -1)]
        near, far = moves[:120], moves[120:]
        text = str(value.numerator)
        if digits == 0 and len(text) > 1:
            near.append(int(text[:-2] + text[-1] + text[-2]) - value)
    draw.shuffle(near)
    draw.shuffle(far)
    return [value + move for move in (*near, *far) if move and value + move > 0]


def _consequences(
    problem: Problem,
    facts: Mapping[str, Fraction] | None = None,
    wrong: Mapping[str, Fraction] | None = None,
) -> dict[str, Fraction] | None:
    """The results that follow from a change; None if they look odd, or the answer stays right."""
    try:
        values = solve(problem, facts, wrong)
    except ArithmeticFault:
        return None
    answer = values[problem.steps[-1].name]
    return values if answer != problem.answer and as_clean(problem, values) else None


def _breaks(problem: Problem, order: Sequence[int]) -> bool:
    """Whether a step comes before one whose result it uses."""
    names = [step.name for step in problem.steps]
    for position, place in enumerate(order):
        used = expressions.names_in(problem.steps[place].calc)
        later = {names[each] for each in order[position + 1 :]}
        if used & later:
            return True
    return False
