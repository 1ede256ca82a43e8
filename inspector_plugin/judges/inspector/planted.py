"""Errors planted in real responses: a wrong result of a calculation, a quantity copied wrongly.

The checked arithmetic finds the equations, and where an error is carried on it computes what
follows from it, so that the planted error is the only one.
"""

from __future__ import annotations

import random
import re
from fractions import Fraction

from inspector_plugin.judges.inspector.arithmetic import (
    Equation,
    check_arithmetic,
    quantities,
)

MAX_CHANGES = 25
MAX_DECIMALS = 3


def wrong_calculation(response: str, rng: random.Random, carry_on: bool) -> str | None:
    """Change the result of one right calculation.

    Args:
        response: The response.
        rng: Source of the choices.
        carry_on: Whether all that follows is computed from the wrong result, or stays as it is.

    Returns:
        None if no calculation can be changed so that exactly this one is wrong.
    """
    report = check_arithmetic(response)
    candidates = [e for e in report.equations if _is_plain(e)]
    rng.shuffle(candidates)
    for equation in candidates:
        assert equation.right is not None
        value = _other_number(equation.right, rng)
        start, end = equation.result
        changed = _with_number(response[start:end], equation.right, value)
        if changed is None:
            continue
        text = response[:start] + changed + response[end:]
        done = start + len(changed)
        # The copy after an annotation belongs to the result: <<2+3=5>>5.
        copy = re.match(r">>\s?\$?", text[done:])
        if copy is not None:
            text = _replaced(text, equation.right, value, done + copy.end(), count=1)
            done += copy.end() + len(_shown(value) or "")
        if carry_on:
            carried = _carried_on(text, equation.right, value, done, equation.start)
            if carried is None:
                continue
            text = carried
        wrong = [e for e in check_arithmetic(text).equations if e.holds is False]
        before = sum(e.holds is False for e in report.equations)
        if any(e.start == equation.start for e in wrong) and (
            not carry_on or len(wrong) == before + 1
        ):
            return text
    return None


def miscopied_quantity(question: str, response: str, rng: random.Random) -> str | None:
    """Change a number of the problem wherever the response uses it, and all that follows from it.

    Returns:
        None if the response uses no number of the problem, or what follows cannot be computed.
    """
    report = check_arithmetic(response)
    results = {e.right for e in report.equations if e.computed}
    used = {q.value for q in quantities(response) if q.text.replace(",", "").isdecimal()}
    values = sorted(
        {q.value for q in quantities(question) if q.text.replace(",", "").isdecimal()}
        & used - results
    )
    rng.shuffle(values)
    given = {q.value for q in quantities(question)}
    for old in values:
        new = _other_number(old, rng)
        if old < 2 or new in given or new in used:
            continue
        text = _carried_on(response, old, new, 0, -1)
        if text is None or text == response:
            continue
        wrong = sum(e.holds is False for e in check_arithmetic(text).equations)
        if wrong == sum(e.holds is False for e in report.equations):
            return text
    return None


def _is_plain(equation: Equation) -> bool:
    """Whether an equation is a right calculation of an exact result that can be written again."""
    return (
        equation.holds is True
        and equation.computed
        and equation.left == equation.right
        and equation.right is not None
        and _shown(equation.right) is not None
    )


def _other_number(value: Fraction, rng: random.Random) -> Fraction:
    """A number like this one: the same sign, kind and about the same size."""
    unit = Fraction(1, value.denominator)
    steps = [1, 2, 3, 5, 10, 20] if abs(value) >= 20 else [1, 2, 3, 4]
    changes = [unit * sign * step for step in steps for sign in (1, -1)]
    other = [value + change for change in changes if (value + change) * value > 0]
    digits = str(abs(value.numerator))
    if value.denominator == 1 and len(digits) > 1 and digits[0] != digits[1] != "0":
        swapped = int(digits[1] + digits[0] + digits[2:])
        other.append(Fraction(swapped if value > 0 else -swapped))
    return rng.choice(other) if other else value + unit


def _shown(value: Fraction) -> str | None:
    """Write a number; None if it takes more than three decimals."""
    for decimals in range(MAX_DECIMALS + 1):
        scaled = abs(value) * 10**decimals
        if scaled.denominator == 1:
            digits = str(int(scaled)).rjust(decimals + 1, "0")
            return digits[:-decimals] + "." + digits[-decimals:] if decimals else digits
    return None


def _with_number(text: str, old: Fraction, new: Fraction) -> str | None:
    """Put a number in place of the only one of a text, such as `$1,200` or `\\boxed{12}`."""
    replaced = _replaced(text, old, new, 0)
    return None if replaced == text or old * new < 0 else replaced


def _replaced(text: str, old: Fraction, new: Fraction, start: int, count: int | None = None) -> str:
    """Replace a number by another from an offset on, digits only, as a whole number each time."""
    shown = _shown(new)
    if shown is None:
        return text

    def write(match: re.Match[str]) -> str:
        written = match.group().replace(",", "")
        if Fraction(written) != abs(old):
            return match.group()
        whole, point, after = shown.partition(".")
        if "," in match.group():
            whole = f"{int(whole):,}"
        elif not point and "." in written:
            # $4.50 stays with two decimals.
            return f"{whole}.{'0' * len(written.partition('.')[2])}"
        return whole + point + after

    numbers = re.compile(r"(?<![\d.,])(?:\d{1,3}(?:,\d{3})+|\d{1,15})(?:\.\d{1,6})?(?![\d]|[.,]\d)")
    return text[:start] + numbers.sub(write, text[start:], count=count or 0)


def _carried_on(text: str, old: Fraction, new: Fraction, start: int, planted: int) -> str | None:
    """Replace a number from an offset on, and compute all results that follow from it anew.

    Args:
        text: The text.
        old: The number.
        new: What stands in its place.
        start: Where to begin.
        planted: Where the equation begins that is to stay wrong; -1 for none.

    Returns:
        None if a result cannot be written, or if it does not come to an end.
    """
    wrong_before = {e.text for e in check_arithmetic(text).equations if e.holds is False}
    text = _replaced(text, old, new, start)
    for _ in range(MAX_CHANGES):
        wrong = next(
            (
                e
                for e in check_arithmetic(text).equations
                if e.holds is False and e.start != planted and e.text not in wrong_before
            ),
            None,
        )
        if wrong is None:
            return text
        if not wrong.computed or wrong.left is None or wrong.right is None:
            return None
        if _shown(wrong.left) is None or wrong.left * wrong.right <= 0:
            return None
        begin = wrong.result[0]
        changed = _replaced(text, wrong.right, wrong.left, begin)
        if changed == text:
            return None
        text = changed
    return None
