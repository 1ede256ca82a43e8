r"""Reading a language model's judgement: strictly, and repaired only where the meaning is certain.

What is repaired: white space and code fences around the object, text before or after it, a block of
thoughts that ends in </think>, single backslashes (raw LaTeX) and line breaks inside JSON text, a
score written "4", 4.0 or 4/5, and a reply that consists of the score alone. Everything else, such
as two objects, a key given twice or a score outside 1-5, is a fault.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inspector_plugin.prompting.messages import Token
from inspector_plugin.schema import MULTICLASS

_SCORE_ALONE = re.compile(r"(?:score\s*[:=]\s*)?([1-5])(?:\s*/\s*5)?\.?", re.IGNORECASE)
_SCORE_TEXT = re.compile(r"\s*([1-5])(?:\.0+)?\s*(?:/\s*5)?\s*")
_UNQUOTED_FRACTION = re.compile(r'("score"\s*:\s*)([1-5])\s*/\s*5(?=\s*[,}])')
_FENCE = re.compile(r"```[A-Za-z]*\s*(.*?)\s*```", re.DOTALL)
_OBJECT_START = re.compile(r'\{\s*"')
# A backslash that starts no JSON escape; a pair of backslashes is left alone.
_RAW_BACKSLASH = re.compile(r'(\\["\\/bfnrt]|\\u[0-9A-Fa-f]{4})|\\')
# JSON reads \frac and \beta as a form feed and a backspace, which no justification holds.
_CONTROL = str.maketrans({"\f": "\\f", "\b": "\\b"})
_JSON = json.JSONDecoder(strict=False, object_pairs_hook=lambda pairs: _unique(pairs))


class ReplyFault(ValueError):
    """Why a reply cannot be used, in a few words."""


@dataclass(frozen=True)
class Verdict:
    """What a reply says of one aspect.

    Attributes:
        score: The score, from 1 to 5.
        justification: Why, if the reply says so.
    """

    score: int
    justification: str | None


def parse_reply(text: str, aspects: Sequence[str], joint: bool) -> dict[str, Verdict]:
    """Read a reply.

    Args:
        text: The reply.
        aspects: The aspects that were asked for.
        joint: Whether an object for each aspect was asked for, instead of one score.

    Returns:
        A verdict for each aspect.

    Raises:
        ReplyFault: If the reply's meaning is not certain.
    """
    answer = text.rpartition("</think>")[2].strip()
    if not answer:
        raise ReplyFault("it is empty")
    alone = _SCORE_ALONE.fullmatch(answer)
    if alone and not joint:
        return {aspects[0]: Verdict(int(alone.group(1)), None)}
    found = _find_object(answer)
    if not joint:
        return {aspects[0]: _verdict(found)}
    missing = [key for key in aspects if not isinstance(found.get(key), dict)]
    if missing:
        raise ReplyFault(f"it has no object for {', '.join(missing)}")
    return {key: _verdict(found[key]) for key in aspects}


def score_probabilities(
    text: str, tokens: Sequence[Token], aspect: str, score: int, joint: bool
) -> dict[int, float]:
    """Read the probabilities of the five scores off the token where the score stands.

    Args:
        text: The reply, which `parse_reply` accepted.
        tokens: Its tokens with their candidates' log-probabilities.
        aspect: Whose score.
        score: The score that `parse_reply` read.
        joint: Whether the reply holds an object for each aspect.

    Returns:
        Probability of each score, normalised over the five; a score that is not among the
        candidates has probability 0.

    Raises:
        ReplyFault: If no token consists of the score alone.
    """
    answer = text.rfind("</think>") + 1
    before = rf'"{re.escape(aspect)}"\s*:\s*\{{[^{{}}]*?' if joint else ""
    keyed = re.compile(before + r'"score"\s*:\s*"?([1-5])').search(text, answer)
    place = keyed or re.compile(r"([1-5])").search(text, answer)
    token = _token_at(tokens, place.start(1)) if place else None
    if token is None or token.text.strip() != str(score):
        raise ReplyFault("no token of the reply consists of the score alone")
    weights = dict.fromkeys(MULTICLASS.labels, 0.0)
    for candidate, logprob in token.logprobs.items():
        if candidate.strip() in {"1", "2", "3", "4", "5"}:
            weights[int(candidate)] += math.exp(logprob)
    total = math.fsum(weights.values())
    if not total > 0:
        raise ReplyFault("no score is among the candidates of the score's token")
    return {score: weight / total for score, weight in weights.items()}


def _token_at(tokens: Sequence[Token], offset: int) -> Token | None:
    end = 0
    for token in tokens:
        end += len(token.text)
        if offset < end:
            return token
    return None


def _find_object(answer: str) -> dict[str, Any]:
    fenced = _FENCE.fullmatch(answer)
    body = _UNQUOTED_FRACTION.sub(r"\1\2", fenced.group(1) if fenced else answer)
    for text in (body, _RAW_BACKSLASH.sub(_double, body)):
        start = _OBJECT_START.search(text)
        decoded = _decoded(text, start.start()) if start else None
        if decoded is not None:
            found, end = decoded
            if _OBJECT_START.search(text, end):
                raise ReplyFault("it holds more than one JSON object")
            return found
    raise ReplyFault("it holds no complete JSON object")


def _decoded(text: str, start: int) -> tuple[dict[str, Any], int] | None:
    """Read the object that starts there, and only that: one further in may be a quotation."""
    try:
        return _JSON.raw_decode(text, start)
    except ReplyFault:
        raise
    # Besides malformed JSON: numbers of too many digits, nesting that is too deep.
    except (ValueError, RecursionError):
        return None


def _double(match: re.Match[str]) -> str:
    return match.group(1) or "\\\\"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ReplyFault("a key is given twice")
    return found


def _verdict(found: Mapping[str, Any]) -> Verdict:
    if "score" not in found:
        raise ReplyFault('it has no "score"')
    justification = found.get("justification")
    text = justification.translate(_CONTROL) if isinstance(justification, str) else None
    return Verdict(_score(found["score"]), text)


def _score(value: Any) -> int:
    match = _SCORE_TEXT.fullmatch(str(value)) if isinstance(value, (int, float, str)) else None
    if match is None or isinstance(value, bool):
        raise ReplyFault("its score is not a whole number from 1 to 5")
    return int(match.group(1))
