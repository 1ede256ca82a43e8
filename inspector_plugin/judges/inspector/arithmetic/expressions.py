"""Expressions of numbers: parsed from tokens and evaluated exactly, within bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from inspector_plugin.judges.inspector.arithmetic.tokens import (
    BREAK,
    CLOSE,
    COMMAND,
    NUMBER,
    OF,
    OPEN,
    RELATION,
    SIGN,
    UNKNOWN,
    WORD,
    Token,
)
from inspector_plugin.judges.inspector.arithmetic.values import (
    combine,
    exact_root,
    factorial,
    power,
    rough_root,
)
from inspector_plugin.judges.inspector.arithmetic.words import (
    CONVERTIBLE,
    NO_UNITS,
    SCALES,
)

MAX_UNIT_WORDS = 3


@dataclass
class Expression:
    """A part of a text that is one expression.

    Attributes:
        first: Index of its first token.
        last: Index after its last token, units included.
        end: Offset after its last character, trailing units left out.
        value: What it comes to; None if it holds something unknown or is too large.
        signs: Number of signs that join two operands.
        units: The words and currency signs that stand with its numbers.
        unit_sums: Whether terms with different units are added, such as hours and minutes.
        decimals: Digits after the point, if it is nothing but a number with a point.
        percent: Whether it holds a percentage.
        ambiguous: Whether it can be read in another way too.
        irrational: Whether it holds a root that is no fraction.
    """

    first: int
    last: int
    end: int
    value: Fraction | None
    signs: int
    units: tuple[str, ...]
    unit_sums: bool
    decimals: int | None
    percent: bool
    ambiguous: bool
    irrational: bool


class _NoExpressionError(Exception):
    """No expression stands here."""


@dataclass
class _Operand:
    value: Fraction | None
    percent: bool = False
    fraction: bool = False


def parse(
    tokens: Sequence[Token], place: int, exact: Mapping[Fraction, Fraction] | None = None
) -> Expression | None:
    """Parse the longest expression that begins at a token.

    Args:
        tokens: The tokens of the text.
        place: Index of the expression's first token.
        exact: What rounded numbers stand for, such as 1/3 for 0.33.

    Returns:
        None if no expression begins there.
    """
    parser = _Parser(tokens, place, exact or {})
    try:
        value = parser.sum()
    except _NoExpressionError:
        return None
    decimals = parser.decimals if parser.operands == 1 and not parser.signs else None
    if decimals is not None and parser.percent:
        decimals += 2
    return Expression(
        place,
        parser.place,
        parser.end,
        value.value,
        parser.signs,
        tuple(parser.units),
        parser.unit_sums,
        decimals,
        parser.percent,
        parser.ambiguous,
        parser.irrational,
    )


class _Parser:
    def __init__(
        self, tokens: Sequence[Token], place: int, exact: Mapping[Fraction, Fraction]
    ) -> None:
        self.tokens, self.place, self.exact = tokens, place, exact
        self.end = tokens[place].start
        self.signs = self.operands = 0
        self.decimals: int | None = None
        self.units: list[str] = []
        self.unit_sums = self.percent = self.ambiguous = self.irrational = False

    def peek(self, ahead: int = 0) -> Token | None:
        place = self.place + ahead
        return self.tokens[place] if place < len(self.tokens) else None

    def sign(self, *texts: str) -> Token | None:
        """The next token if it is one of these signs."""
        token = self.peek()
        return token if token is not None and token.kind == SIGN and token.text in texts else None

    def mark(self) -> tuple[int, int, int, int, int, bool, bool, bool]:
        return (self.place, self.end, self.signs, self.operands, len(self.units), self.unit_sums,
                self.percent, self.ambiguous)  # fmt: skip

    def back(self, mark: tuple[int, int, int, int, int, bool, bool, bool]) -> None:
        (self.place, self.end, self.signs, self.operands, units, self.unit_sums, self.percent,
         self.ambiguous) = mark  # fmt: skip
        del self.units[units:]

    def sum(self) -> _Operand:
        """Terms with + and - between them."""
        total = self.product()
        while (sign := self.sign("+", "-")) is not None:
            mark, before = self.mark(), _convertible(self.units)
            self.place += 1
            try:
                units = len(self.units)
                term = self.product()
            except _NoExpressionError:
                self.back(mark)
                break
            self.signs += 1
            added = _convertible(self.units[units:])
            self.unit_sums = self.unit_sums or bool(added and before and added != before)
            # 60 + 10% may mean 66.
            self.ambiguous = self.ambiguous or (term.percent and not total.percent)
            total = _Operand(combine(sign.text, total.value, term.value), total.percent)
        return total

    def product(self) -> _Operand:
        """Factors with signs or nothing between them."""
        total = self.factor()
        divided: Token | None = None
        while (token := self.peek()) is not None:
            mark = self.mark()
            implied = False
            if self.sign("*", "/") is not None or (
                token.kind == OF and (total.percent or total.fraction)
            ):
                sign = "/" if token.text == "/" else "*"
                self.place += 1
            elif token.kind in (OPEN, COMMAND, UNKNOWN) or (
                token.kind == NUMBER and self.tokens[self.place - 1].kind == CLOSE
            ):
                sign, implied = "*", True
            else:
                break
            # 2\frac{1}{2} is two and a half.
            after_number = self.tokens[self.place - 1].kind == NUMBER and token.text == "frac"
            try:
                factor = self.factor()
            except _NoExpressionError:
                self.back(mark)
                break
            mixed = implied and after_number and factor.value is not None and 0 < factor.value < 1
            self.signs += 1
            if implied:
                # 6/2(1+2) and "12 (3 boxes of 4)" are read in more than one way.
                spaced_text = token.kind == OPEN and token.spaced and token.text == "("
                self.ambiguous = self.ambiguous or divided is not None or spaced_text
            elif sign == "/":
                # 25 / 1/3 may mean 25 / (1/3).
                odd = divided is not None and divided.spaced != token.spaced
                self.ambiguous = self.ambiguous or odd
                divided = token
            if mixed:
                total = _Operand(combine("+", total.value, factor.value), fraction=True)
                continue
            total = _Operand(
                combine(sign, total.value, factor.value),
                total.percent and sign == "/" and not factor.percent,
                sign == "/" or factor.fraction,
            )
        return total

    def factor(self) -> _Operand:
        """A power with its sign; a chain of powers is read from the right."""
        negative = False
        while (sign := self.sign("-", "+")) is not None:
            after = self.peek(1)
            if after is None or after.kind in (WORD, BREAK):
                raise _NoExpressionError
            negative ^= sign.text == "-"
            self.place += 1
        operand = self.postfix()
        powers: list[Fraction | None] = []
        while (sign := self.sign("^", "^2", "^3")) is not None:
            mark = self.mark()
            self.place += 1
            if sign.text != "^":
                self.end = sign.end
                powers.append(Fraction(int(sign.text[1])))
                continue
            minus = self.sign("-") is not None
            self.place += minus
            try:
                exponent = self.postfix().value
            except _NoExpressionError:
                self.back(mark)
                break
            self.signs += 1
            powers.append(-exponent if minus and exponent is not None else exponent)
        if powers:
            exponent = powers.pop()
            while powers:
                exponent = power(powers.pop(), exponent)
            operand = _Operand(power(operand.value, exponent))
        if negative and operand.value is not None:
            operand = _Operand(-operand.value, operand.percent, operand.fraction)
        return operand

    def postfix(self) -> _Operand:
        """An operand with the factorial, percent signs and units after it."""
        operand = self.operand()
        while (token := self.peek()) is not None:
            if self.sign("!") is not None:
                operand = _Operand(factorial(operand.value))
            elif self.sign("%") is not None:
                after = self.peek(1)
                modulo = after is not None and after.kind in (NUMBER, OPEN, UNKNOWN)
                value = operand.value
                known = value is not None and not modulo
                operand = _Operand(value / 100 if known and value is not None else None, True)
                self.percent = True
            else:
                break
            self.end = token.end
            self.place += 1
        self.skip_units()
        return operand

    def operand(self) -> _Operand:
        token = self.peek()
        if token is None:
            raise _NoExpressionError
        if token.kind == NUMBER:
            self.operands += 1
            self.place += 1
            self.end = token.end
            if token.money:
                self.units.append("$")
            self.decimals = token.decimals
            value = self.exact.get(token.value, token.value)
            return self._with_fraction(token, value)
        if token.kind == UNKNOWN:
            self.operands += 1
            self.place += 1
            self.end = token.end
            return _Operand(None)
        if token.kind == OPEN:
            return self.group()
        if token.kind == COMMAND:
            return self.command(token)
        raise _NoExpressionError

    def _with_fraction(self, token: Token, value: Fraction) -> _Operand:
        """A number, or the mixed number 2 1/2 or 2½."""
        ahead = [self.peek(n) for n in range(3)]
        first, slash, second = ahead
        if first is None or first.kind != NUMBER or token.decimals is not None or first.money:
            return _Operand(value)
        if first.text in "½⅓⅔¼¾⅕⅛":
            self.place += 1
            self.end = first.end
            return _Operand(value + first.value, fraction=True)
        if (
            slash is not None
            and second is not None
            and slash.text == "/"
            and second.kind == NUMBER
            and not slash.spaced
            and not second.spaced
            and 0 < first.value < second.value <= 100
        ):
            self.place += 3
            self.end = second.end
            self.operands += 1
            return _Operand(value + first.value / second.value, fraction=True)
        return _Operand(value)

    def group(self) -> _Operand:
        """An expression in brackets."""
        self.place += 1
        inner = self.sum()
        token = self.peek()
        if token is None or token.kind != CLOSE:
            raise _NoExpressionError
        self.place += 1
        self.end = token.end
        return _Operand(inner.value, inner.percent, inner.fraction)

    def command(self, token: Token) -> _Operand:
        self.operands += 1
        self.place += 1
        self.end = token.end
        if token.text == "frac":
            digits = self.peek()
            if digits is not None and digits.kind == NUMBER and digits.text.isdecimal():
                if len(digits.text) == 2:
                    # \frac12, without braces, is 1/2.
                    self.place += 1
                    self.end = digits.end
                    self.signs += 1
                    return _Operand(
                        combine("/", Fraction(digits.text[0]), Fraction(digits.text[1])),
                        fraction=True,
                    )
                if len(digits.text) > 2:
                    raise _NoExpressionError
            above, below = self.argument(), self.argument()
            self.signs += 1
            return _Operand(combine("/", above.value, below.value), fraction=True)
        if token.text == "sqrt":
            following = self.peek()
            if following is not None and following.text == "[":
                self.argument()
                self.argument()
                return _Operand(None)
            self.signs += 1
            return _Operand(self.root(self.argument(whole=True).value))
        # An unknown command takes the groups after it along.
        while (following := self.peek()) is not None and following.text == "{":
            self.skip_group()
        return _Operand(None)

    def root(self, value: Fraction | None) -> Fraction | None:
        """A square root, exact if it is a fraction."""
        exact = exact_root(value)
        if exact is not None or value is None or value < 0:
            return exact
        self.irrational = True
        return rough_root(value)

    def argument(self, whole: bool = False) -> _Operand:
        r"""What stands after a command: a group or a digit."""
        token = self.peek()
        if token is not None and token.kind == NUMBER:
            self.place += 1
            self.end = token.end
            self.operands += 1
            # Without braces only the first digit is a fraction's part; the rest would be a factor.
            return _Operand(token.value if whole or len(token.text) == 1 else None)
        if token is None or token.kind != OPEN:
            return _Operand(None)
        mark = self.mark()
        try:
            return self.group()
        except _NoExpressionError:
            self.back(mark)
            self.skip_group()
            return _Operand(None)

    def skip_group(self) -> None:
        depth = 0
        while (token := self.peek()) is not None:
            depth += (token.kind == OPEN) - (token.kind == CLOSE)
            self.place += 1
            self.end = token.end
            if token.kind == BREAK or depth <= 0:
                break

    def skip_units(self) -> None:
        """Skip the words of a unit, if a sign, a bracket, a break or the end comes after them."""
        ahead = 0
        words: list[str] = []
        while (token := self.peek(ahead)) is not None:
            if token.text in NO_UNITS:
                return
            if token.kind == WORD or (token.kind == OF and words):
                words.append(token.text)
            elif token.text == "/" and (after := self.peek(ahead + 1)) and after.kind == WORD:
                # "5 / hour" is a unit, "120 / speed" is not; with spaces either is possible.
                self.ambiguous = self.ambiguous or token.spaced or after.spaced
            elif not (words and token.kind == OPEN and self._words_in_brackets(ahead)):
                break
            else:
                ahead += 2
            if len(words) > MAX_UNIT_WORDS:
                return
            ahead += 1
        if not words or (token is not None and token.kind not in (SIGN, RELATION, CLOSE, BREAK)):
            return
        if token is not None and token.kind == SIGN and token.text in ("!", "^", "%"):
            return
        if not SCALES.isdisjoint(words):
            self.ambiguous = True
        self.units.append(" ".join(words))
        self.place += ahead

    def _words_in_brackets(self, ahead: int) -> bool:
        word, close = self.peek(ahead + 1), self.peek(ahead + 2)
        return word is not None and close is not None and word.kind == WORD and close.kind == CLOSE


def _convertible(units: Sequence[str]) -> set[str]:
    """The units that others could be meant to be converted to, in the singular."""
    words = {word for unit in units for word in unit.split()}
    return {word.rstrip("s") for word in words & CONVERTIBLE}
