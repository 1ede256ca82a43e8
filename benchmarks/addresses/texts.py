"""Sentences put together at random from the lists beside this file."""

from __future__ import annotations

import random
import re
from pathlib import Path

FOLDER = Path(__file__).parent
SLOT = re.compile(r"\$([a-z_]+)")
CHOICE = re.compile(r"\(([^()]*)\)")


def read_slots() -> dict[str, list[str]]:
    """What may stand in place of each name."""
    slots = {}
    for line in _lines("slots.txt"):
        name, _, values = line.partition(": ")
        slots[name] = values.split(" | ")
    return slots


def made_sentences(file: str, each: int, seed: int) -> list[str]:
    """The different sentences made from the templates of a file.

    Args:
        file: Name of a list of templates.
        each: How many are drawn from a template; the same one counts once.
        seed: Seed of the draws.
    """
    lots, slots = random.Random(seed), read_slots()
    made = (made_sentence(line, slots, lots) for line in _lines(file) for _ in range(each))
    return list(dict.fromkeys(made))


def made_sentence(template: str, slots: dict[str, list[str]], lots: random.Random) -> str:
    """A sentence of a template: slots filled, one taken of each (choice|alternative)."""
    text = template
    while (filled := SLOT.sub(lambda slot: _fill(slot, slots, lots), text)) != text:
        text = filled
    while choice := CHOICE.search(text):
        # What stands in parentheses and is no choice keeps them; they are set aside till the end.
        one = lots.choice(choice[1].split("|")) if "|" in choice[1] else f"\0{choice[1]}\1"
        text = text[: choice.start()] + one + text[choice.end() :]
    text = text.replace("\0", "(").replace("\1", ")").replace("\\n", "\n")
    text = re.sub(r" {2,}", " ", text.strip()).replace(" ,", ",")
    return text[:1].upper() + text[1:] if lots.random() < 0.8 else text


def _fill(slot: re.Match[str], slots: dict[str, list[str]], lots: random.Random) -> str:
    return lots.choice(slots[slot[1]]) if slot[1] in slots else slot[0]


def _lines(file: str) -> list[str]:
    """The lines of a list; "# " and "## " begin remarks."""
    lines = (FOLDER / file).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith(("# ", "## "))]
