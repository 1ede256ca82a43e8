"""The quantities of a text, and which of a problem's quantities a response uses."""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction

from inspector_plugin.judges.inspector.arithmetic.equations import (
    MAX_LENGTH,
    ArithmeticReport,
    check_arithmetic,
)
from inspector_plugin.judges.inspector.arithmetic.number_words import ONES, TENS
from inspector_plugin.judges.inspector.arithmetic.tokens import (
    ANNOTATION,
    NUMBER_PATTERN,
    number_value,
)

_NUMBER_WORDS: dict[str, Fraction] = {
    **{word: Fraction(n) for n, word in enumerate(ONES)},
    **{word: Fraction(20 + 10 * n) for n, word in enumerate(TENS)},
    "dozen": Fraction(12),
    "hundred": Fraction(100),
    "half": Fraction(1, 2),
    "twice": Fraction(2),
    "double": Fraction(2),
    "thrice": Fraction(3),
    "triple": Fraction(3),
}
_PARTS = {"half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "eighth": 8}
_MULTIPLES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "dozen": 12}
_NUMERATORS = {"a": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5}
_FIND = re.compile(
    # Numbers of list items and steps are no quantities.
    r"(?P<item>(?m:^)[ \t]{0,20}(?:(?i:step)[ \t])?\d{1,3}[.):](?=\s))"
    rf"|(?P<number>{NUMBER_PATTERN})(?:[ ]?/[ ]?(?P<below>\d{{1,9}})(?![\d.,]*\d))?"
    r"(?P<after>[ ]?\\?%|[ ]percent\b|[ ](?:hundred|thousand|million|billion|dozen)\b)?"
    r"|\\[dt]?frac\{(?P<over>\d{1,9})\}\{(?P<under>\d{1,9})\}"
    r"|(?P<vulgar>[½⅓⅔¼¾])"
    r"|\b(?P<part>(?i:a|one|two|three|four|five)[ -](?i:half|third|quarter|fourth|fifth|sixth"
    r"|eighth)s?)\b"
    rf"|\b(?P<word>(?i:{'|'.join(_NUMBER_WORDS)}))\b"
)
_VULGAR = {"½": (1, 2), "⅓": (1, 3), "⅔": (2, 3), "¼": (1, 4), "¾": (3, 4)}
# What everybody knows: small numbers and the units of time, length and money.
_COMMON = frozenset(
    Fraction(n) for n in (0, 1, 2, 4, 7, 10, 12, 24, 30, 52, 60, 100, 360, 365, 1000, 3600)
) | {Fraction(1, 2)}
# Words that are more often something else than a quantity of the problem.
_IDLE = frozenset(("one", "zero"))


@dataclass(frozen=True)
class Quantity:
    """A number in a text.

    Attributes:
        text: The number as written.
        start: Offset of its first character.
        end: Offset after its last character.
        value: What it says; of a percentage the number before the sign.
        percent: Whether a percent sign follows.
        parts: Numerator and denominator of what may be a fraction, or a division; else empty.
    """

    text: str
    start: int
    end: int
    value: Fraction
    percent: bool = False
    parts: tuple[Fraction, ...] = ()

    @property
    def readings(self) -> frozenset[Fraction]:
        """The values that stand for this quantity: 20% may be written 20, 0.2, 80 or 0.8."""
        if not self.percent:
            return frozenset((self.value,))
        values = (self.value, 100 - self.value, 100 + self.value)
        return frozenset((*values, *(value / 100 for value in values)))


@dataclass(frozen=True)
class QuantityUse:
    """How a response uses the quantities of its problem.

    Attributes:
        given: The problem's quantities, each value once.
        used: Whether each of them occurs in the response.
        unexplained: Quantities of the response that are neither in the problem nor a result
            computed before, nor common knowledge such as 60 or 100.
        written: Number of quantities in the response.
    """

    given: tuple[Quantity, ...]
    used: tuple[bool, ...]
    unexplained: tuple[Quantity, ...]
    written: int

    @property
    def share_used(self) -> float | None:
        """Share of the problem's quantities that occur; None if the problem has none."""
        return sum(self.used) / len(self.used) if self.used else None

    @property
    def share_unexplained(self) -> float | None:
        """Share of the response's quantities that come from nowhere; None if it has none."""
        return len(self.unexplained) / self.written if self.written else None


def quantities(text: str) -> tuple[Quantity, ...]:
    """Find the numbers of a text: digits, fractions, percentages and number words.

    Numbers of list items and calculator annotations are left out. Only the first 200,000 characters
    are read.
    """
    blank = ANNOTATION.sub(lambda match: " " * len(match.group()), text[:MAX_LENGTH])
    found: list[Quantity] = []
    for match in _FIND.finditer(blank):
        value = _value(match)
        if value is not None:
            percent = (match["after"] or "").strip(" \\") in ("%", "percent")
            place = match.start(), match.end()
            found.append(Quantity(match.group(), *place, value, percent, _parts(match)))
    return tuple(found)


def _parts(match: re.Match[str]) -> tuple[Fraction, ...]:
    """Numerator and denominator of a found quotient."""
    if match["over"]:
        return Fraction(int(match["over"])), Fraction(int(match["under"]))
    number = number_value(match["number"]) if match["number"] and match["below"] else None
    return () if number is None else (number[0], Fraction(int(match["below"])))


def _value(match: re.Match[str]) -> Fraction | None:
    """What a found number says; None if it is none."""
    if match["number"]:
        number = number_value(match["number"])
        if number is None:
            return None
        value = number[0] / int(match["below"] or 1) if int(match["below"] or 1) else number[0]
        return value * _MULTIPLES.get((match["after"] or "").strip(), 1)
    if match["over"]:
        return Fraction(int(match["over"]), int(match["under"])) if int(match["under"]) else None
    if match["vulgar"]:
        return Fraction(*_VULGAR[match["vulgar"]])
    if match["part"]:
        above, _, below = match["part"].lower().replace("-", " ").partition(" ")
        return Fraction(_NUMERATORS[above], _PARTS.get(below, 0) or _PARTS[below.rstrip("s")])
    return _NUMBER_WORDS[match["word"].lower()] if match["word"] else None


def used_quantities(
    problem: str, response: str, report: ArithmeticReport | None = None
) -> QuantityUse:
    """Compare the quantities of a response with those of its problem.

    Args:
        problem: The problem's text.
        response: The response.
        report: The response's equations, if they have been checked already.
    """
    report = report or check_arithmetic(response)
    given = {q.value: q for q in reversed(quantities(problem)) if q.text.lower() not in _IDLE}
    written = quantities(response)
    # "120/4" may be a fraction or a division of the problem's 120 by its 4.
    said = {value for q in written for value in (*q.readings, *q.parts)}
    # 2 apples of which a half rot are used in "2 / 2" too, so parts count by their inverse.
    used = tuple(bool(_forms(q) & said) for q in given.values())
    known: set[Fraction] = set(_COMMON)
    for quantity in given.values():
        known |= _forms(quantity)
    results = sorted((e.result[0], e.end, e) for e in report.equations if e.computed)
    begins = [begin for begin, _, _ in results]
    unexplained: list[Quantity] = []
    seen = 0
    for quantity in written:
        place = bisect_left(begins, quantity.end)
        while seen < place:
            equation = results[seen][2]
            known |= {v for v in (equation.left, equation.right) if v is not None}
            known |= roundings(equation.right)
            seen += 1
        divides_known = bool(quantity.parts) and known.issuperset(quantity.parts)
        if not quantity.readings & known and not divides_known:
            unexplained.append(quantity)
    return QuantityUse(tuple(given.values()), used, tuple(unexplained), len(written))


def roundings(value: Fraction | None) -> frozenset[Fraction]:
    """A result, and the whole numbers next to it: of 3.25 buses, 4 are ordered, and 3 get full."""
    if value is None:
        return frozenset()
    return frozenset({value, Fraction(math.floor(value)), Fraction(math.ceil(value))})


def _forms(quantity: Quantity) -> frozenset[Fraction]:
    """The values that use a quantity of the problem; a part may be used by its denominator."""
    value = quantity.value
    if 0 < value < 1:
        return quantity.readings | {1 - value, Fraction(value.denominator), value * 100}
    return quantity.readings
