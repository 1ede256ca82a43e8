"""How probes read responses: the words of a solution, without what is no part of it.

What a solution looks like and whom it talks to should move no score. Cross-fitted probes read a
response in the form `solution`: without calculator annotations, sentences that speak to the judge
and the marks of Markdown, a line after the other. They learn from responses in the same form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from inspector_plugin.judges.inspector.addresses import ADDRESSES_JUDGE, without_addresses
from inspector_plugin.judges.inspector.arithmetic import strip_annotations

SOLUTION = "solution"
# Longer responses are cut before a language model reads them, and are taken as they are.
LONGEST = 100_000

_HEADING = re.compile(r"\s{0,3}#{1,6}\s+")
# A list item, by its mark or number; a summand alone, as in "- 5", is none.
_ITEM = re.compile(r"\s*(?:[-*•]|\(?\d{1,2}[.)])\s+(?=.*(?:[^\W\d_]|=))")
_QUOTE = re.compile(r"\s{0,3}>\s?")
# Not the powers of "2**3 + 4**5".
_BOLD = re.compile(r"(?<![\w)\]}*_])(\*\*\*|\*\*|___|__)(?=\S)(.{1,300}?)(?<=\S)\1(?![\w(*])")
_RULE = re.compile(r"\s*(?:```.*|([-*_])(?:\s*\1){2,}\s*)")


class ReadResponse(NamedTuple):
    """A response as a probe reads it.

    Attributes:
        text: What is read.
        remarks: Flags for what is not.
    """

    text: str
    remarks: tuple[str, ...] = ()


def _solution(response: str) -> ReadResponse:
    """The words of a solution; the response as it is where nothing would be left."""
    if len(response) > LONGEST:
        return ReadResponse(response)
    text, speaks_to_judge = without_addresses(strip_annotations(response))
    lines = text.splitlines()
    plain = [_line(line, last=number == len(lines)) for number, line in enumerate(lines, start=1)]
    read = "\n".join(line for line in plain if line) or response
    return ReadResponse(read, (ADDRESSES_JUDGE,) if speaks_to_judge else ())


def _line(line: str, last: bool) -> str:
    """A line without marks; empty for a rule, and for a heading that holds no figures.

    A heading such as "Solution" says nothing; "Step 1: 2 + 3 = 5", or one that ends the response,
    may be all there is.
    """
    if _RULE.fullmatch(line):
        return ""
    heading = _HEADING.match(line)
    if heading and not last and not re.search(r"[\d=]", line):
        return ""
    line = line[heading.end() :] if heading else _without(_QUOTE, line)
    return " ".join(_BOLD.sub(r"\2", _without(_ITEM, line)).split())


def _without(mark: re.Pattern[str], line: str) -> str:
    """A line without the mark that it begins with."""
    found = mark.match(line)
    return line[found.end() :] if found else line


RESPONSE_FORMS: Mapping[str, Callable[[str], ReadResponse]] = {SOLUTION: _solution}
