"""Judges within a judge: how a specification writes the members of a panel or a cascade.

`of=FIRST|SECOND`: a bar separates members. A member that has several options, or a bar, stands in
square brackets, and so may a member that has members itself:

    panel:of=inspector|[prompt:model=m,base_url=http://localhost:8000/v1],rule=median
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from inspector_plugin.errors import OptionError

# A comma ends an option only where the next option's name follows, so that values may hold commas.
_NEXT_OPTION = re.compile(r",\s*(?=[A-Za-z_][A-Za-z0-9_]*=)")
# A bracket means something where a member begins, and within such brackets; nowhere else.
_MEMBER_BEGINS = re.compile(r"(?:^|,)\s*of=\s*\[|\|\s*\[")
MEMBERS = "of"


def option_texts(text: str) -> list[str]:
    """Split `key=value,key=value` into its options; those of bracketed members stay together.

    Raises:
        OptionError: If the bracket of a member is not closed.
    """
    inside = _bracketed(text)
    return list(_split(text, _NEXT_OPTION, inside))


def member_texts(text: str) -> list[str]:
    """Split the value of `of` into the specifications of the members, without their brackets.

    Raises:
        OptionError: If a bracket is not closed.
    """
    inside = _bracketed(f"{MEMBERS}={text}")[len(MEMBERS) + 1 :]
    parts = [part.strip() for part in _split(text, re.compile(r"\|"), inside)]
    return [part[1:-1] if part[:1] == "[" and part[-1:] == "]" else part for part in parts]


def _split(text: str, separator: re.Pattern[str], inside: list[bool]) -> Iterator[str]:
    start = 0
    for match in separator.finditer(text):
        if not inside[match.start()]:
            yield text[start : match.start()]
            start = match.end()
    yield text[start:]


def _bracketed(text: str) -> list[bool]:
    """Say of each character whether it stands within the brackets of a member."""
    opening = {match.end() - 1 for match in _MEMBER_BEGINS.finditer(text)}
    depth, inside = 0, []
    for place, character in enumerate(text):
        if character == "[" and (depth or place in opening):
            depth += 1
        inside.append(depth > 0)
        if character == "]" and depth:
            depth -= 1
    if depth:
        raise OptionError(f"{text[:120]!r}: the bracket of a member is not closed; add the ']'.")
    return inside
