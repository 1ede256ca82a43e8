"""Real solutions in other styles: what they say stays the same, how they are written changes.

They are attempts like the real ones, and as good as these as far as their style takes nothing away:
neither flags nor scores should go by style. The forms and words are this module's own: none stems
from the sanity suite, which only measures.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping

from inspector_plugin.judges.inspector.arithmetic import check_arithmetic, final_answer
from inspector_plugin.judges.inspector.arithmetic.number_words import number_in_words

_ENDINGS = ("{}", "= {}", "Result: {}", "A: {}", "So {}.", "**{}**")
_HEADINGS = ("## Working", "### Computation", "**Calculation**", "# Approach")
_BULLETS = ("- ", "* ", "{}. ", "{}) ")
_QUESTIONS = ("What comes first?", "What do we know?", "And then?", "What next?", "How much is it?")
_NUMBER = re.compile(r"(?<![\w.,/])\d{1,4}(?![\w]|[.,/]\d)")
_SIGNS = {"+": "plus", "-": "minus", "*": "times", "×": "times", "/": "divided by", "=": "makes"}
_SIGN = re.compile(r"\s([-+*×/=])\s")
# How a calculation begins, goes on and ends in other languages.
_LANGUAGES = (
    ("Primero calculamos", "Después", "Por lo tanto, la respuesta es"),
    ("Empezamos con", "Luego tenemos", "La solución es"),
    ("Zuerst rechnen wir", "Danach ergibt sich", "Also ist die Antwort"),
    ("Wir beginnen mit", "Dann gilt", "Die Lösung lautet"),
    ("On calcule d'abord", "Ensuite on obtient", "La réponse est donc"),
    ("Nous avons", "Puis", "Donc le résultat est"),
    ("Prima calcoliamo", "Poi abbiamo", "Quindi la risposta è"),
    ("Primeiro calculamos", "Depois temos", "Portanto, a resposta é"),
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z$\\(])")


def restyle(response: str, style: str, rng: random.Random) -> str | None:
    """Write a solution in another style.

    Args:
        response: The solution.
        style: A key of `STYLES`.
        rng: Source of the choices.

    Returns:
        None where the style does not apply, as where there are no equations to keep.
    """
    found = STYLES[style](response, rng)
    return None if found is None or found.strip() == response.strip() else found


def _equations(response: str, rng: random.Random) -> str | None:
    """Equations alone, one a line or one after another, and the answer."""
    equations, answer = _calculation(response)
    if not equations or answer is None:
        return None
    between = rng.choice(("\n", "\n", "; ", ", "))
    return between.join([*equations, rng.choice(_ENDINGS).format(answer)])


def _paragraph(response: str, rng: random.Random) -> str | None:
    """All lines in one paragraph, without list signs."""
    lines = [_bare(line) for line in response.split("\n") if line.strip()]
    return " ".join(lines) if len(lines) > 1 else None


def _bullets(response: str, rng: random.Random) -> str | None:
    """A heading, then a list item for each line or sentence, the last one in bold."""
    steps = _sentences(response)
    if len(steps) < 2:
        return None
    bullet = rng.choice(_BULLETS)
    items = [bullet.format(number) + step for number, step in enumerate(steps[:-1], start=1)]
    heading = rng.choice(_HEADINGS)
    return "\n".join([heading, "", *items, "", f"**{steps[-1].strip('*')}**"])


def _lines(response: str, rng: random.Random) -> str | None:
    """Each sentence on a line of its own."""
    return rng.choice(("\n", "\n\n")).join(_sentences(response))


def _in_words(response: str, rng: random.Random) -> str | None:
    """Whole numbers, and the signs between them, in words."""
    if len(_NUMBER.findall(response)) < 2:
        return None
    spelt = _NUMBER.sub(lambda number: number_in_words(int(number[0])), " ".join(response.split()))
    return _SIGN.sub(lambda sign: f" {_SIGNS[sign[1]]} ", spelt)


def _questions(response: str, rng: random.Random) -> str | None:
    """Each sentence as the answer to a question."""
    steps = _sentences(response)
    if len(steps) < 2:
        return None
    asked = [f"Q: {rng.choice(_QUESTIONS)} A: {step}" for step in steps[:-1]]
    return "\n".join([*asked, f"Q: So what is the answer? A: {steps[-1]}"])


def _table(response: str, rng: random.Random) -> str | None:
    """A row for each equation, and the answer below."""
    equations, answer = _calculation(response)
    if not equations or answer is None:
        return None
    head = rng.choice((("step", "result"), ("calculation", "value"), ("", "amount")))
    rows = [head, ("---", "---")]
    for equation in equations:
        left, _, right = equation.rpartition("=")
        rows.append((left.strip(), right.strip()))
    table = "\n".join(f"| {left} | {right} |" for left, right in rows)
    return f"{table}\n\n{rng.choice(_ENDINGS).format(answer)}"


def _other_language(response: str, rng: random.Random) -> str | None:
    """The equations, joined by words of another language."""
    equations, answer = _calculation(response)
    if not equations or answer is None:
        return None
    first, then, last = rng.choice(_LANGUAGES)
    steps = [f"{first} {equations[0]}.", *(f"{then} {each}." for each in equations[1:])]
    return rng.choice((" ", "\n")).join([*steps, f"{last} {answer}."])


def _ending(response: str, rng: random.Random) -> str | None:
    """The last one or two sentences: too short a solution, but one."""
    steps = _sentences(response)
    kept = rng.choice((1, 2))
    return " ".join(steps[-kept:]) if len(steps) > kept else None


def _calculation(response: str) -> tuple[list[str], str | None]:
    """The equations of a solution, each in one line, and its answer, if it has any."""
    equations = [" ".join(each.text.split()) for each in check_arithmetic(response).equations]
    answer = final_answer(response)
    return equations, None if answer is None else answer.text


def _sentences(response: str) -> list[str]:
    """The sentences of all lines, without list signs."""
    found = [s for line in response.split("\n") for s in _SENTENCE_END.split(_bare(line))]
    return [sentence for sentence in found if sentence]


def _bare(line: str) -> str:
    """A line without what makes it an item or a heading."""
    return re.sub(r"^\s*(?:#+\s*|[-*]\s+|\(?\d{1,2}[.):]\s+)", "", line).strip()


STYLES: Mapping[str, Callable[[str, random.Random], str | None]] = {
    "equations_only": _equations,
    "one_paragraph": _paragraph,
    "list_of_steps": _bullets,
    "sentence_a_line": _lines,
    "numbers_in_words": _in_words,
    "questions_and_answers": _questions,
    "table_of_equations": _table,
    "other_language": _other_language,
    "ending_alone": _ending,
}
# Styles that say the same in the same words.
LAID_OUT = ("one_paragraph", "list_of_steps", "sentence_a_line")
# Styles that leave all as good as it was; and those of which only what is said stays as good: they
# show less, or read worse.
AS_GOOD = (*LAID_OUT, "numbers_in_words", "questions_and_answers")
AS_RIGHT = (*AS_GOOD, "equations_only", "table_of_equations", "other_language")
