"""The equations of a response, checked exactly.

An equation is two expressions of numbers with an equals sign between them. Whatever cannot be
decided without doubt, such as equations with unknowns or in mixed units, is left undecided.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from inspector_plugin.judges.inspector.arithmetic.expressions import Expression, parse
from inspector_plugin.judges.inspector.arithmetic.sides import ROUNDED, sides_agree
from inspector_plugin.judges.inspector.arithmetic.tokens import (
    ANNOTATION,
    BREAK,
    CLOSE,
    COMMAND,
    NUMBER,
    OF,
    OPEN,
    OTHER,
    RELATION,
    SIGN,
    UNKNOWN,
    WORD,
    Token,
    tokenise,
)
from inspector_plugin.judges.inspector.arithmetic.words import (
    COMPARING,
    CONVERTIBLE,
    FRACTION_WORDS,
    REMAINDERS,
)

MAX_LENGTH = 200_000


@dataclass(frozen=True)
class Equation:
    """An equation in a text.

    Attributes:
        text: The equation as it stands there.
        start: Offset of its first character.
        end: Offset after its last character; trailing units are left out.
        left: What the left side comes to; None if that is unknown.
        right: What the right side comes to; None if that is unknown.
        holds: Whether it is right; None if that cannot be decided.
        computed: Whether one side is a calculation and the other its result, a single number.
        result: Offsets of the right side.
    """

    text: str
    start: int
    end: int
    left: Fraction | None
    right: Fraction | None
    holds: bool | None
    computed: bool
    result: tuple[int, int]


@dataclass(frozen=True)
class ArithmeticReport:
    """The equations of a text, in its order.

    Attributes:
        equations: All of them, those that cannot be decided too.
        length: Number of characters of the text.
    """

    equations: tuple[Equation, ...]
    length: int

    @property
    def decided(self) -> tuple[Equation, ...]:
        """The equations known to be right or wrong."""
        return tuple(e for e in self.equations if e.holds is not None)

    @property
    def share_right(self) -> float | None:
        """Share of the decided equations that hold; None if there are none."""
        decided = self.decided
        return sum(e.holds is True for e in decided) / len(decided) if decided else None

    @property
    def first_wrong(self) -> int | None:
        """Index in `equations` of the first that is wrong; None if none is."""
        wrong = (place for place, e in enumerate(self.equations) if e.holds is False)
        return next(wrong, None)

    @property
    def first_wrong_position(self) -> float | None:
        """Where the first wrong equation begins, as a share of the text; None if none is wrong."""
        first = self.first_wrong
        return None if first is None else self.equations[first].start / self.length


def check_arithmetic(response: str, annotations: bool = True) -> ArithmeticReport:
    """Find the equations of a response and check each one exactly.

    Decimals are taken as rounded or cut off after the digits shown; a result without a decimal
    point has to be exact. Time grows linearly with the response; what comes after its first
    200,000 characters is not read.

    Args:
        response: The response.
        annotations: Whether GSM8K's calculator annotations, `<<2+3=5>>`, are read. An equation
            around an annotation that says the same counts once.
    """
    text = response[:MAX_LENGTH]
    found = _equations(text, 0, response)
    if annotations:
        inner = [
            equation
            for match in ANNOTATION.finditer(text)
            for equation in _equations(match.group()[2:-2], match.start() + 2, response)
        ]
        said = {(e.left, e.right, e.holds, e.end) for e in inner}
        found = [e for e in found if not _repeats(e, said, text)]
        found = sorted(found + inner, key=lambda e: (e.start, e.end))
    return ArithmeticReport(tuple(found), len(response))


def _repeats(
    equation: Equation,
    said: set[tuple[Fraction | None, Fraction | None, bool | None, int]],
    text: str,
) -> bool:
    """Whether an equation says what the annotation before its result says: 2+3=<<2+3=5>>5."""
    start, _ = equation.result
    before = text[:start].rstrip(" $") if start < 4 else text[max(0, start - 8) : start]
    before = before.rstrip(" $")
    if not before.endswith(">>"):
        return False
    end = start - (min(start, 8) - len(before)) - 2 if start >= 4 else len(before) - 2
    return (equation.left, equation.right, equation.holds, end) in said


def _equations(text: str, offset: int, whole: str) -> list[Equation]:
    """The equations of a text that begins at an offset of the whole."""
    tokens = tokenise(text)
    exact = dict(ROUNDED)
    found: list[Equation] = []
    # The expression that ended right here, and the left side and sign that wait for a right side.
    last: Expression | None = None
    pending: tuple[Expression, Token] | None = None
    doubtful = False
    place = 0
    while place < len(tokens):
        token = tokens[place]
        if token.kind == RELATION:
            pending = None if last is None else (last, token)
            last, doubtful, place = None, False, place + 1
            continue
        if last is not None and last.signs and _refers_back(tokens, place):
            # "26 * 25 * 10. This is equal to 6500."
            while tokens[place].kind == BREAK:
                place += 1
            place += 1
            continue
        starts = token.kind in (NUMBER, OPEN, COMMAND, UNKNOWN) or (
            token.kind == SIGN and token.text in "+-" and _is_unary(tokens, place)
        )
        expression = parse(tokens, place) if starts else None
        if expression is None:
            doubtful = _makes_doubtful(token, tokens, place, doubtful)
            last, pending, place = None, None, place + 1
            continue
        follows_and = (
            place > 1 and tokens[place - 1].text == "and" and (tokens[place - 2].kind == NUMBER)
        )
        if (
            doubtful
            or _is_cut(tokens, expression)
            # "The sum of 3 and 4 = 7", but not "3 + 4 = 7 and 7 * 2 = 14".
            or (follows_and and _is_part(tokens, expression))
            or _is_factor(tokens, place)
        ):
            expression.value = None
        if expression.last < len(tokens) and tokens[expression.last].kind == OF:
            # "= 2/3 of her 30" goes on, "= 1/3 of an hour" does not.
            expression.ambiguous = True
        if pending is not None:
            left, relation = pending
            equation = _equation(tokens, left, relation, expression, exact, offset, whole)
            if equation is not None:
                found.append(equation)
        last, pending, doubtful, place = expression, None, True, expression.last
    return found


def _second(tokens: Sequence[Token], expression: Expression) -> str:
    """The text of an expression's second token; empty without one."""
    inside = tokens[expression.first + 1 : min(expression.first + 2, expression.last)]
    return inside[0].text if inside else ""


def _is_part(tokens: Sequence[Token], expression: Expression) -> bool:
    """Whether an expression after "and" may belong to the number before: 1 and 1/4."""
    return expression.signs == 0 or (expression.signs == 1 and _second(tokens, expression) == "/")


def _is_factor(tokens: Sequence[Token], place: int) -> bool:
    """Whether an expression is only a part of what is computed.

    It is after a sum's plus at the head of a line, in "15 USD (6/1)" and in "12, 400 / 80".
    """
    if tokens[place].text == "+":
        return True
    if place < 2:
        return False
    number, between = tokens[place - 2], tokens[place - 1]
    if tokens[place].kind in (OPEN, COMMAND):
        return number.kind == NUMBER and between.kind == WORD
    thousands = re.fullmatch(r"\d{3}(\.\d+)?", tokens[place].text) is not None
    return thousands and number.kind == NUMBER and between.text == ","


def _refers_back(tokens: Sequence[Token], place: int) -> bool:
    """Whether "which is", "this equals" or the like comes next, perhaps after a full stop."""
    # A full stop and the end of the line.
    for _ in range(2):
        place += place < len(tokens) and tokens[place].kind == BREAK
    pair = tokens[place : place + 2]
    return (
        len(pair) == 2
        and pair[0].text in ("which", "this", "that")
        and pair[1].kind == RELATION
        and pair[1].text == "is"
    )


def _is_unary(tokens: Sequence[Token], place: int) -> bool:
    """Whether a sign belongs to the number after it: "is -5", but not "cost - 5"."""
    if place == 0 or tokens[place - 1].kind in (BREAK, RELATION, OPEN):
        return True
    tight = place + 1 < len(tokens) and not tokens[place + 1].spaced
    return tokens[place - 1].kind in (WORD, OF) and tokens[place].spaced and tight


def _makes_doubtful(token: Token, tokens: Sequence[Token], place: int, before: bool) -> bool:
    """Whether the expression after a token is perhaps only a part of a larger one."""
    if token.kind == BREAK:
        return False
    if token.kind == WORD:
        return False
    if token.kind == OF:
        previous = tokens[place - 1] if place else None
        if place > 1 and tokens[place - 2].kind == NUMBER and previous is not None:
            # 8 packs of 5 * 4.
            return True
        return previous is not None and (previous.kind != WORD or previous.text in FRACTION_WORDS)
    return before or token.kind in (SIGN, OTHER, CLOSE, NUMBER, UNKNOWN, COMMAND, OPEN)


def _is_cut(tokens: Sequence[Token], expression: Expression) -> bool:
    """Whether an expression goes on in a way that was not understood."""
    if expression.last >= len(tokens):
        return False
    after = tokens[expression.last]
    if after.kind == OPEN:
        return not after.spaced
    return after.kind in (SIGN, OTHER, NUMBER, UNKNOWN, COMMAND, CLOSE)


def _equation(
    tokens: Sequence[Token],
    left: Expression,
    relation: Token,
    right: Expression,
    exact: dict[Fraction, Fraction],
    offset: int,
    whole: str,
) -> Equation | None:
    """Check an equation; None if a verb between numbers does not make one."""
    after = [token.text for token in tokens[right.last : right.last + 1] if token.kind == WORD]
    if relation.text == "is":
        known = left.value is not None and right.value is not None
        if (
            left.signs == 0
            or right.signs
            or not known
            or right.percent
            or COMPARING.intersection(after)
        ):
            return None
        if _names_something(tokens, left):
            return None
    start, end = tokens[left.first].start, right.end
    following = {token.text for token in tokens[right.last : right.last + 4]}
    if following & REMAINDERS or _has_second_part(tokens, right):
        right.ambiguous = True
    holds = sides_agree(tokens, left, relation.text == "~", right, exact)
    if holds and left.value != right.value and left.value is not None and right.value is not None:
        # A rounded result stands for the exact one in what follows.
        if right.decimals:
            exact[right.value] = left.value
        elif left.decimals:
            exact[left.value] = right.value
    begin, finish = start + offset, end + offset
    result = (tokens[right.first].start + offset, finish)
    computed = left.signs > 0 and right.signs == 0
    return Equation(
        whole[begin:finish], begin, finish, left.value, right.value, holds, computed, result
    )


def _names_something(tokens: Sequence[Token], left: Expression) -> bool:
    """Whether what "is" said of is not the value: a part, a ratio, the factor of 12 * 3."""
    first = tokens[left.first]
    before = tokens[left.first - 1] if left.first else None
    if left.signs == 1 and (first.kind == COMMAND or _second(tokens, left) in ("/", "^")):
        return True
    if before is not None and (before.kind == OF or before.text in ("than", "to", "between")):
        return True
    return any(unit != "$" for unit in left.units)


def _has_second_part(tokens: Sequence[Token], right: Expression) -> bool:
    """Whether a result goes on in a smaller unit: 2 hours and 30 minutes, 5 feet 6 inches."""
    place = right.last
    place += place < len(tokens) and tokens[place].text in CONVERTIBLE - {"in", "m", "s"}
    if place < len(tokens) and tokens[place].text == "and":
        place += 1
        place += tokens[place : place + 1] != [] and tokens[place].kind == OPEN
    after = tokens[place : place + 2]
    return (
        len(after) == 2
        and after[0].kind == NUMBER
        and (after[1].text in CONVERTIBLE or after[1].text == "/")
        and place > right.last
    )
