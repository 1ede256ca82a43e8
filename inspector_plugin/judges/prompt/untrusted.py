"""Text and JSON from outside: bounded in size, depth and numbers, and without the key.

Bodies of answers and replies of models are both read here, and here the key is taken out of
whatever is kept of them.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from typing import Any

MAX_BYTES = 4 * 2**20
# More of a reply or of a justification is never shown or stored.
MAX_KEPT_CHARACTERS = 10_000
_SHOWN_CHARACTERS = 200
# Shorter keys are placeholders such as "none", which words of a reply may hold by chance.
_SHORTEST_SECRET = 6
_REDACTED = "[key]"
_MOST_DIGITS = 18
_SURROGATES = re.compile("[\ud800-\udfff]")


class JsonFault(ValueError):
    """Text that is no JSON, or JSON that no honest sender writes."""


class DuplicateKey(JsonFault):
    """An object that gives a key twice."""


def read_json(data: bytes) -> Any:
    """Read the body of an answer.

    Raises:
        JsonFault: If it is no JSON, or nested too deeply to be read.
    """
    try:
        return _BODY.decode(data.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError) as error:
        raise JsonFault("it is not JSON") from error


def read_object(text: str, start: int) -> tuple[dict[str, Any], int]:
    """Read the object that starts at a place of a reply.

    Returns:
        The object, and where it ends.

    Raises:
        DuplicateKey: If an object gives a key twice.
        JsonFault: If there is no complete object.
    """
    try:
        found: tuple[dict[str, Any], int] = _REPLY.raw_decode(text, start)
    except DuplicateKey:
        raise
    except (ValueError, RecursionError) as error:
        raise JsonFault("it holds no complete JSON object") from error
    return found


def finite(value: object) -> float | None:
    """Return a number as a float; None if it is no number or not finite."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None


def without_key(text: str, key: str | None) -> str:
    """Take a key out of text from outside, however it is spelled there.

    It is looked for in the text's visible ASCII characters alone, once compatibility forms such as
    full-width letters are replaced: white space, zero-width and control characters between its
    letters do not hide it. Unpaired surrogates, which no file can hold, are replaced as well.

    Args:
        text: The text.
        key: The key, if one is sent.
    """
    text = _SURROGATES.sub("\ufffd", text)
    if key is None or len(key) < _SHORTEST_SECRET:
        return text
    folded, wanted = text.translate(_FOLDED), key.translate(_FOLDED)
    place = folded.find(wanted)
    if place < 0:
        return text
    origins = [index for index, each in enumerate(text) for _ in _FOLDED[ord(each)]]
    parts, end = [], 0
    while place >= 0:
        parts += [text[end : origins[place]], _REDACTED]
        end = origins[place + len(wanted) - 1] + 1
        place = folded.find(wanted, place + len(wanted))
    return "".join([*parts, text[end:]])


def one_line(value: object, key: str | None = None) -> str:
    """One short line of printable characters, without the key."""
    text = " ".join(without_key(str(value), key).split()) or type(value).__name__
    shown = "".join(character for character in text if character.isprintable())
    return shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]}..."


class _Folded:
    """What `str.translate` makes of a character: its visible ASCII letters, in lower case."""

    def __getitem__(self, code: int) -> str:
        folded = unicodedata.normalize("NFKD", chr(code)).lower()
        return "".join(letter for letter in folded if "!" <= letter <= "~")


def _integer(digits: str) -> int | float:
    """Integers of any length are read in the time that their text takes."""
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise DuplicateKey("a key is given twice")
    return found


_FOLDED = _Folded()
_BODY = json.JSONDecoder(strict=False, parse_int=_integer)
_REPLY = json.JSONDecoder(strict=False, parse_int=_integer, object_pairs_hook=_unique)
