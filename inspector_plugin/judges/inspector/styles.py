"""Real solutions in other styles: what they say stays the same, how they are written changes.

They are attempts like the real ones, and keep the flags from going by style. The forms and words
are this module's own: none stems from the sanity suite, which only measures.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping

from inspector_plugin.judges.inspector.arithmetic import check_arithmetic, final_answer

_ENDINGS = ("{}", "= {}", "Result: {}", "A: {}", "So {}.", "**{}**")
_HEADINGS = ("## Working", "### Computation", "**Calculation**", "# Approach")
_BULLETS = ("- ", "* ", "{}. ", "{}) ")
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
    equations = [" ".join(each.text.split()) for each in check_arithmetic(response).equations]
    answer = final_answer(response)
    if not equations or answer is None:
        return None
    between = rng.choice(("\n", "\n", "; ", ", "))
    return between.join([*equations, rng.choice(_ENDINGS).format(answer.text)])


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
}
