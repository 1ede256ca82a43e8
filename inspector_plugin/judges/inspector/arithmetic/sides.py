"""Whether the two sides of an equation agree, as exactly as they are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from inspector_plugin.judges.inspector.arithmetic.expressions import Expression, parse
from inspector_plugin.judges.inspector.arithmetic.tokens import BREAK, OF, WORD, Token
from inspector_plugin.judges.inspector.arithmetic.words import CONVERTIBLE

# How far apart the sides of "a is about b" may be: nearer is right, farther than the second is
# wrong, and what lies between is a matter of taste.
ABOUT_RIGHT, ABOUT_WRONG = Fraction(1, 100), Fraction(1, 10)
FLOAT_DECIMALS = 10
_ROOT_ERROR = Fraction(1, 10**30)

_SINGULAR = frozenset(word.rstrip("s") for word in CONVERTIBLE)
# By what a result differs if its unit was changed on the way.
_FACTORS = frozenset(
    Fraction(n)
    for n in (
        *(2, 3, 4, 5, 7, 8, 10, 12, 16, 20, 24, 25, 30, 36, 52, 60, 100, 365, 1000),
        *(1440, 2000, 3600, 5280, 10_000, 86_400, 1_000_000),
    )
)
# Thirds and sixths as they are commonly rounded, also as percentages.
ROUNDED = {
    Fraction(text): Fraction(value)
    for value, texts in {
        "1/3": ".33 .333 .3333",
        "2/3": ".66 .67 .666 .667 .6666 .6667",
        "1/6": ".17 .167 .1667",
        "5/6": ".83 .833 .8333",
        "100/3": "33.3 33.33 33.333",
        "200/3": "66.6 66.7 66.66 66.67 66.667",
    }.items()
    for text in texts.split()
}


def sides_agree(
    tokens: Sequence[Token],
    left: Expression,
    about: bool,
    right: Expression,
    exact: Mapping[Fraction, Fraction],
) -> bool | None:
    """Whether the sides agree; None if that cannot be decided."""
    a, b = left.value, right.value
    if a is None or b is None:
        return None
    if _agree(a, left.decimals, b, right.decimals):
        return True
    if right.last - right.first == 2 and tokens[right.first + 1].text == "!":
        # The end of a glad sentence rather than a factorial.
        return bool(a == tokens[right.first].value)
    if (left.irrational or right.irrational) and abs(a - b) <= _ROOT_ERROR * (1 + abs(a)):
        return True
    if right.percent and _agree(a, None, 100 * b, max((right.decimals or 0) - 2, 0) or None):
        # (30 / 50) * 100 = 60%.
        return True
    if about:
        apart = abs(a - b)
        size: Fraction = max(abs(a), abs(b))
        if apart <= ABOUT_RIGHT * size or apart < 1:
            return True
        return False if apart > ABOUT_WRONG * size else None
    if _doubtful_reading(tokens, left, right, a, b):
        return None
    # A side may go on with a number that was rounded before: 10/3 = 3.33, 3.33 * 3 = 10.
    exact_left, exact_right = parse(tokens, left.first, exact), parse(tokens, right.first, exact)
    for one, decimals, other, others in (
        (exact_left, None, right, right.decimals),
        (left, left.decimals, exact_right, None),
        (exact_left, None, exact_right, None),
    ):
        if one is None or other is None or one.value is None or other.value is None:
            continue
        if one.signs + other.signs and _agree(one.value, decimals, other.value, others):
            return True
    return False


def _doubtful_reading(
    tokens: Sequence[Token], left: Expression, right: Expression, a: Fraction, b: Fraction
) -> bool:
    """Whether sides that differ may be meant in a way in which they agree."""
    if left.ambiguous or right.ambiguous or left.unit_sums or right.unit_sums:
        return True
    if left.percent and b == 100 * a:
        return True
    units = (left.units, right.units)
    if left.signs == 0:
        # "Area of 4 rooms = 12 * 4" and "3 hours = 180 minutes".
        before = tokens[left.first - 1].kind if left.first else BREAK
        if before in (WORD, OF) or any(unit != "$" for unit in left.units):
            return True
    if left.signs == 0 and right.signs == 0:
        return units[0] != units[1]
    words = {word.rstrip("s") for side in units for unit in side for word in unit.split()}
    if len(words & _SINGULAR) > 1 and a and b:
        ratio = abs(a / b)
        return ratio in _FACTORS or 1 / ratio in _FACTORS
    return False


def _agree(a: Fraction, a_decimals: int | None, b: Fraction, b_decimals: int | None) -> bool:
    """Whether two values are equal, or one is the other rounded or cut off."""
    if a == b:
        return True
    return (b_decimals is not None and _shows(a, b, b_decimals)) or (
        a_decimals is not None and _shows(b, a, a_decimals)
    )


def _shows(value: Fraction, shown: Fraction, decimals: int) -> bool:
    """Whether a value is shown by a number of so many decimals."""
    unit = Fraction(1, 10**decimals)
    if abs(value - shown) <= unit / 2:
        return True
    if decimals >= FLOAT_DECIMALS:
        # A machine's number: its last digits are not to be trusted.
        return bool(abs(value - shown) <= abs(value) / 10**FLOAT_DECIMALS)
    # Cut off rather than rounded: 2/3 = 0.66.
    less = abs(value) - abs(shown)
    return bool(value * shown >= 0 and 0 <= less < unit)
