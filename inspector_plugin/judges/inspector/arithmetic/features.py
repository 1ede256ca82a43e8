"""A vector that sums up the arithmetic of a response, for a probe."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from inspector_plugin.judges.inspector.arithmetic.equations import (
    ArithmeticReport,
    Equation,
    check_arithmetic,
)
from inspector_plugin.judges.inspector.arithmetic.quantities import (
    Quantity,
    quantities,
    roundings,
    used_quantities,
)
from inspector_plugin.judges.inspector.arithmetic.tokens import strip_annotations

# Name and meaning of each number of the vector, in its order.
ARITHMETIC_FEATURES: dict[str, str] = {
    "equations": "log(1 + number of equations that could be decided)",
    "share_right": "share of the decided equations that hold; 1 without any",
    "any_wrong": "1 if an equation is wrong",
    "first_wrong": "where the first wrong equation begins, 0 to 1; 1 without any",
    "undecided": "share of the equations that could not be decided",
    "quantities_used": "share of the problem's quantities that occur; 1 if it has none",
    "quantities_unused": "log(1 + how many of them do not occur)",
    "unexplained": "share of the response's numbers that come from nowhere",
    "unexplained_count": "log(1 + how many of them come from nowhere)",
    "fractions": "share of the computed results that are no whole numbers",
    "answer_present": "1 if the response ends in a number or marks an answer",
    "answer_computed": "1 if the final answer is the result of the last calculation, or that "
    "rounded to a whole number",
    "answer_plain": "1 if the final answer is a whole number that is not negative",
    "results_used": "share of the computed results that are used later or are the answer",
}

_MARKED = re.compile(r"\\boxed\s?\{|####|(?m:^)A:|(?i:\banswer\b)")
_LAST_PART = 200


def final_answer(response: str) -> Quantity | None:
    """The number that a response ends up with.

    It is the first one after the last mark of an answer (`\\boxed`, `####`, `A:`, "answer"),
    or else the last number of the last 200 characters.
    """
    marks = list(_MARKED.finditer(response))
    if marks:
        start = marks[-1].end()
        found = quantities(response[start : start + _LAST_PART])
        if found:
            return found[0]
    found = quantities(response[-_LAST_PART:])
    return found[-1] if found else None


def arithmetic_features(
    question: str, response: str, annotations: bool = True
) -> npt.NDArray[np.float64]:
    """Sum up the arithmetic of a response.

    Args:
        question: The problem.
        response: The response to it.
        annotations: Whether the annotations `<<2+3=5>>` are read; if not, they are taken out first.

    Returns:
        [14] float64, in the order of `ARITHMETIC_FEATURES`.
    """
    if not annotations:
        response = strip_annotations(response)
    report = check_arithmetic(response)
    use = used_quantities(question, response, report)
    decided, wrong = report.decided, report.first_wrong_position
    computed = [e for e in report.equations if e.computed]
    answer = final_answer(response)
    last = computed[-1] if computed else None
    values: dict[str, Any] = {
        "equations": math.log1p(len(decided)),
        "share_right": 1.0 if report.share_right is None else report.share_right,
        "any_wrong": wrong is not None,
        "first_wrong": 1.0 if wrong is None else wrong,
        "undecided": 1 - len(decided) / len(report.equations) if report.equations else 0,
        "quantities_used": 1.0 if use.share_used is None else use.share_used,
        "quantities_unused": math.log1p(use.used.count(False)),
        "unexplained": use.share_unexplained or 0,
        "unexplained_count": math.log1p(len(use.unexplained)),
        "fractions": (
            sum(e.right is not None and e.right.denominator > 1 for e in computed)
            / max(len(computed), 1)
        ),
        "answer_present": answer is not None,
        "answer_computed": answer is not None and last is not None and _answers(answer, last),
        "answer_plain": answer is not None and _is_plain(answer, response),
        "results_used": _share_used_later(report, computed, response, answer),
    }
    return np.array([float(values[name]) for name in ARITHMETIC_FEATURES])


def _answers(answer: Quantity, equation: Equation) -> bool:
    """Whether an answer is the result of an equation, as it is or rounded up or down."""
    return not answer.readings.isdisjoint(roundings(equation.right))


def _is_plain(answer: Quantity, response: str) -> bool:
    """Whether an answer is a whole number without a minus sign."""
    negative = re.search(rf"[-−]\s?\$?{re.escape(answer.text)}", response[-2 * _LAST_PART :])
    return answer.value.denominator == 1 and negative is None


def _share_used_later(
    report: ArithmeticReport, computed: list[Equation], response: str, answer: Quantity | None
) -> float:
    """Share of the computed results that occur after their equation; 1 without any."""
    if not computed:
        return 1.0
    last: dict[Fraction, int] = {}
    for quantity in quantities(response):
        last[quantity.value] = quantity.start
    for equation in report.equations:
        if equation.right is not None and not equation.computed:
            last[equation.right] = max(last.get(equation.right, -1), equation.start)
    # The result itself, and its copy after an annotation, stand right at the equation's end.
    used = [
        e.right is not None
        and (
            last.get(abs(e.right), -1) > e.end + len(">>") + 1
            or (answer is not None and _answers(answer, e))
        )
        for e in computed
    ]
    return sum(used) / len(used)
