"""Tokens of the calculations in a text: numbers, signs, units and what interrupts an expression.

One regular expression reads the text once. Every alternative is bounded or starts with a character
that no other alternative repeats, so the time grows linearly with the text whatever it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from inspector_plugin.judges.inspector.arithmetic.words import (
    AFTER_TIMES,
    ATTACHED,
    CAPITALS,
    FUNCTIONS,
    SEPARATING,
    TRANSPARENT,
)

MAX_DIGITS = 40
MAX_DEPTH = 30

# Kinds of tokens.
NUMBER, SIGN, OPEN, CLOSE, RELATION = "number", "sign", "open", "close", "relation"
WORD, OF, UNKNOWN, COMMAND = "word", "of", "unknown", "command"
BREAK, NEWLINE, OTHER = "break", "newline", "other"


class Token(NamedTuple):
    """A piece of a text.

    Attributes:
        kind: One of the kinds above.
        text: The normalised text: "*" for every sign of multiplication, lower case for words.
        start: Offset of the first character.
        end: Offset after the last character.
        value: What a number says; 0 for every other token.
        decimals: Digits after the decimal point; None without a point.
        spaced: Whether white space comes before.
        money: Whether a currency sign stands right before.
    """

    kind: str
    text: str
    start: int
    end: int
    value: Fraction = Fraction(0)
    decimals: int | None = None
    spaced: bool = False
    money: bool = False


NUMBER_PATTERN = r"\d{1,3}(?:(?:,(?:\\!)?|\{,\}|\\,)\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+"
ANNOTATION = re.compile(r"<<[^<>\n]{0,300}>>")
_TOKENS = re.compile(
    r"(?P<annotation><<[^<>\n]{0,300}>>)"
    # A number at the head of a list item or step is no part of what follows.
    r"|(?P<item>(?m:^)[ \t]{0,20}(?:\d{1,3}[.)](?=\s)|[-*•+](?=[ \t])))"
    r"|(?P<step>\b(?i:step|part|case|problem|question|equation|option|method|round|day|week|month"
    r"|year)[ \t]\d{1,4}[ \t]{0,3}[-–—:)])"
    r"|(?P<time>\d{1,9}(?:(?::\d{1,9})+|[ \t]:[ \t]\d{1,9}))"
    r"|(?P<ordinal>\d{1,9}(?:st|nd|rd|th)\b)"
    rf"|(?P<number>{NUMBER_PATTERN})"
    # "0,2" and "0.\overline{3}" are numbers too, but not as they stand here.
    r"|(?P<part>(?<=\d)(?:,(?=\d)|\.(?=\\)))"
    r"|(?P<vulgar>[½⅓⅔¼¾⅕⅛])"
    r"|(?P<superscript>[²³])"
    r"|(?P<label>\\(?:text|textrm|textit|textbf|mathrm|mbox|hbox)\s?\{[^{}\d=]{0,80}\})"
    r"|(?P<environment>\\(?:begin|end)\s?\{[^{}]{0,30}\}(?:\{[^{}]{0,30}\})?)"
    r"|(?P<degrees>\^?°|\^\\circ|\^\{\\circ\})"
    r"|(?P<newline>\\\\|\n)"
    r"|(?P<escaped>\\[$%,;!:& {}()\[\]#])"
    r"|(?P<command>\\[A-Za-z]{1,40}|√)"
    r"|(?P<approximate>≈|≅|≃|~=|=~)"
    r"|(?P<inequality>[<>!]=(?<!\d!=)(?<!\)!=)|:=|=>|=/=|->|→|⇒|≤|≥|≠|<<|>>)"
    r"|(?P<equal>==?|＝)"
    r"|(?P<power>(?<=[\d)])\*\*(?=[\d(])|\^)"
    r"|(?P<bold>\*\*|__|`)"
    r"|(?P<dots>\.\.\.?|…|⋯)"
    r"|(?P<times>[*×✕✖∗·⋅∙•])"
    r"|(?P<divide>[/÷∕⁄])"
    r"|(?P<hyphen>(?<=\d)[-‑](?=[A-Za-z]{2}))"
    r"|(?P<sign>[-−–‐‑+!%])"
    r"|(?P<open>[(\[{])|(?P<close>[)\]}])"
    r"|(?P<currency>[$€£¥₹])"
    r"|(?P<cents>¢)"
    r"|(?P<wordsign>\b(?i:multiplied by|divided by|plus|minus|times)\b)"
    r"|(?P<wordequal>\b(?i:(?:is|are) (?:equal to|just|simply)|equals?|is|makes|gives(?: us| me)?"
    r"|(?:adds up|comes(?: out)?|simplifies|evaluates|sums up|works out) to)\b)"
    r"|(?P<word>[^\W\d_]+(?:['’-][^\W\d_]+)*)"
    r"|(?P<break>[.,;:?<>—\"“”])"
    r"|(?P<space>[^\S\n]+|&)"
    r"|(?P<other>.)",
    re.DOTALL,
)
_VULGAR = {
    "½": (1, 2),
    "⅓": (1, 3),
    "⅔": (2, 3),
    "¼": (1, 4),
    "¾": (3, 4),
    "⅕": (1, 5),
    "⅛": (1, 8),
}
# What a command of LaTeX stands for; those not listed are quantities that nobody knows.
_COMMANDS = {
    **dict.fromkeys(("times", "cdot", "ast"), (SIGN, "*")),
    "div": (SIGN, "/"),
    **dict.fromkeys(("approx", "simeq", "cong", "thickapprox"), (RELATION, "~")),
    **dict.fromkeys(("frac", "dfrac", "tfrac", "cfrac"), (COMMAND, "frac")),
    "sqrt": (COMMAND, "sqrt"),
    **dict.fromkeys(SEPARATING, (BREAK, "")),
    **dict.fromkeys(("mod", "bmod", "pmod", "equiv", "pm", "mp", "dots", "ldots"), (OTHER, "")),
    "cdots": (OTHER, ""),
    "cent": (WORD, "cents"),
}
# What the pattern found by its name, and its normalised text; None for the text as found.
_KINDS: dict[str, tuple[str, str | None]] = {
    "newline": (NEWLINE, ""),
    "approximate": (RELATION, "~"),
    "equal": (RELATION, "="),
    "power": (SIGN, "^"),
    "times": (SIGN, "*"),
    "divide": (SIGN, "/"),
    "open": (OPEN, None),
    "close": (CLOSE, None),
    "cents": (WORD, "cents"),
    "ordinal": (WORD, None),
    "wordequal": (RELATION, "is"),
    "time": (OTHER, None),
    "part": (OTHER, None),
    "dots": (OTHER, None),
    "other": (OTHER, None),
}
_UNIT_LETTERS = "mghsl"
_OPERATOR_WORDS = {"plus": "+", "minus": "-", "times": "*"}


def strip_annotations(text: str) -> str:
    """Take the calculator annotations of GSM8K, `<<2+3=5>>`, out of a text."""
    return ANNOTATION.sub("", text)


def number_value(text: str) -> tuple[Fraction, int | None] | None:
    """Read a number as written, with thousands separators.

    Returns:
        The value and the digits after the point (None without a point); None if it is too long.
    """
    digits = re.sub(r"[^\d.]", "", text)
    if len(digits) > MAX_DIGITS:
        return None
    whole, point, after = digits.partition(".")
    return Fraction(int(whole + after or "0"), 10 ** len(after)), len(after) if point else None


def tokenise(text: str) -> list[Token]:
    """Cut a text into tokens, without its annotations.

    Brackets without a partner, and those nested too deeply, are breaks.
    """
    return _with_brackets(_with_words(_with_lines(list(_raw(text)))))


def _raw(text: str) -> Iterator[Token]:
    """The tokens one by one; spaces and signs of format leave only a trace on the next token."""
    spaced = money = False
    previous_end = -1
    for match in _TOKENS.finditer(text):
        name = match.lastgroup or "other"
        found, start, end = match.group(), match.start(), match.end()
        escape = found[1] if name == "escaped" else ""
        room = escape != "" and escape in ",;!:& "
        if room or name in ("space", "annotation", "bold", "degrees", "hyphen"):
            spaced = spaced or room or name in ("space", "hyphen")
            continue
        if name == "currency" or escape == "$":
            money = True
            continue
        if name == "command" and found[1:] in TRANSPARENT:
            continue
        attached = previous_end == start
        kind, normal, value, decimals = _classify(name, found, attached)
        if kind == NUMBER and value is None:
            kind, value = OTHER, Fraction(0)
        yield Token(kind, normal, start, end, value or Fraction(0), decimals, spaced, money)
        spaced = money = False
        previous_end = end if kind == NUMBER or found == "}" else -1


def _classify(
    name: str, found: str, after_number: bool
) -> tuple[str, str, Fraction | None, int | None]:
    """The kind, normalised text, value and decimals of what the pattern found."""
    if name == "number":
        value, decimals = number_value(found) or (None, None)
        return NUMBER, found, value, decimals
    if name == "vulgar":
        return NUMBER, found, Fraction(*_VULGAR[found]), None
    if name == "word":
        return (*_word(found, after_number), None, None)
    if name == "command":
        kind, normal = (
            (COMMAND, "sqrt") if found == "√" else _COMMANDS.get(found[1:], (COMMAND, "unknown"))
        )
        return kind, normal, None, None
    if name == "label":
        label = found.partition("{")[2].strip(" }.,").lower()
        kind = OF if label == "of" else WORD
        kind = UNKNOWN if len(label) == 1 and label not in _UNIT_LETTERS else kind
        return kind, label, None, None
    if name == "escaped":
        kind = {"%": SIGN, "{": OPEN, "}": CLOSE, "#": OTHER}.get(found[1], BREAK)
        return kind, found[1], None, None
    if name == "wordsign":
        word = found.lower()
        sign = _OPERATOR_WORDS.get(word) or ("*" if word.startswith("mult") else "/")
        return SIGN, "word" + sign, None, None
    if name == "superscript":
        return SIGN, "^2" if found == "²" else "^3", None, None
    if name == "sign":
        return SIGN, "-" if found in "-−–‐‑" else found, None, None
    kind, normal_text = _KINDS.get(name, (BREAK, None))
    return kind, found if normal_text is None else normal_text, None, None


def _word(found: str, after_number: bool) -> tuple[str, str]:
    """Tell a word of the language or a unit from a name of a quantity."""
    word = found.lower()
    if word in FUNCTIONS:
        return (OTHER, word) if word == "mod" else (COMMAND, "unknown")
    if word == "sqrt":
        return COMMAND, "sqrt"
    if word == "of":
        return OF, word
    if 1 < len(found) < 4 and found.isupper() and found not in CAPITALS:
        # The segment AB.
        return UNKNOWN, found
    if len(found) == 1 or (
        after_number and (len(found) < 4 or found[0].isupper()) and word not in ATTACHED
    ):
        return UNKNOWN, found
    return WORD, word


def _with_lines(tokens: list[Token]) -> list[Token]:
    """Make line ends breaks, but not before or after an equals sign."""
    kept: list[Token] = []
    for token in tokens:
        if token.kind == NEWLINE:
            goes_on = bool(kept) and (
                (kept[-1].kind == RELATION and kept[-1].text != "is")
                or (kept[-1].kind == SIGN and kept[-1].text in ("+", "-", "*", "/"))
            )
            if not goes_on:
                kept.append(token)
            continue
        if token.kind == RELATION and token.text != "is":
            while kept and kept[-1].kind == NEWLINE:
                kept.pop()
        kept.append(token)
    return [t._replace(kind=BREAK) if t.kind == NEWLINE else t for t in kept]


_OPERAND = frozenset((NUMBER, OPEN, COMMAND))


def _with_words(tokens: list[Token]) -> list[Token]:
    """Decide what depends on the neighbours: x as times, "a" as a word, "times" as a unit."""
    out: list[Token] = []
    for place, token in enumerate(tokens):
        after = tokens[place + 1] if place + 1 < len(tokens) else None
        before = out[-1] if out else None
        if token.kind == UNKNOWN:
            letter = token.text.lower()
            ends = before is not None and (
                before.kind in (NUMBER, CLOSE, WORD) or before.text in ("%", "!")
            )
            if letter == "x" and ends and _is_times(token, after):
                token = token._replace(kind=SIGN, text="*")
            elif _is_word(token, letter, before, after):
                token = token._replace(kind=WORD, text=letter)
        elif token.kind == SIGN and token.text.startswith("word"):
            sign = token.text[4:]
            negative = after is not None and after.text == "-" and after.kind == SIGN
            if (after is not None and after.kind in _OPERAND) or negative:
                token = token._replace(text=sign)
            elif after is not None and after.kind == WORD and after.text in AFTER_TIMES:
                token = token._replace(kind=OTHER)
            else:
                token = token._replace(kind=WORD if sign == "*" else OTHER, text="times")
        out.append(token)
    return out


def _is_times(token: Token, after: Token | None) -> bool:
    """Whether an x after an operand multiplies: 3x4 and 3 x (4), but not 3x(4)."""
    if after is None or after.kind not in _OPERAND:
        return False
    return after.kind == NUMBER or (token.spaced and after.spaced)


def _is_word(token: Token, letter: str, before: Token | None, after: Token | None) -> bool:
    """Whether a single letter is the word "a" or "I", or a unit."""
    if not token.spaced and before is not None and before.kind in (NUMBER, CLOSE):
        return False
    if letter in "ai":
        return after is None or after.kind in (WORD, NUMBER, BREAK)
    power = after is not None and after.kind == SIGN and after.text == "^"
    return letter in _UNIT_LETTERS and before is not None and before.kind == NUMBER and not power


def _with_brackets(tokens: list[Token]) -> list[Token]:
    """Break at brackets without a partner of their kind and at those nested too deeply."""
    partner = {")": "(", "]": "[", "}": "{"}
    opened: list[int] = []
    good: set[int] = set()
    for place, token in enumerate(tokens):
        if token.kind == OPEN:
            opened.append(place)
        elif token.kind == CLOSE and opened and tokens[opened[-1]].text == partner[token.text]:
            if len(opened) <= MAX_DEPTH:
                good.update((opened[-1], place))
            opened.pop()
    return [
        token._replace(kind=BREAK) if token.kind in (OPEN, CLOSE) and place not in good else token
        for place, token in enumerate(tokens)
    ]
