r"""Reading a language model's judgement: strictly, and repaired only where the meaning is certain.

What is repaired: text or code fences before and after the object, a block of thoughts that ends in
a mark such as </think>, single backslashes (raw LaTeX) and line breaks inside JSON text, a score
written "4", 4.0 or 4/5, and a reply that consists of the score alone. Everything else, such as two
objects, a key given twice or a score that is not on the scale, is a fault. Reading takes time in
proportion to the reply's length, whatever it holds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inspector_plugin.judges.prompt.messages import Token
from inspector_plugin.judges.prompt.untrusted import DuplicateKey, JsonFault, read_object
from inspector_plugin.schema.criteria import Criterion, Scale

_NUMBER = r"-?\d{1,6}"
_SCORE_ALONE = re.compile(
    rf"(?:score\s*[:=]\s*)?({_NUMBER})(?:\s*/\s*(\d{{1,6}}))?\.?", re.IGNORECASE
)
_SCORE_TEXT = re.compile(rf"({_NUMBER})(?:\.0+)?(?:\s*/\s*(\d{{1,6}}))?")
_UNQUOTED_FRACTION = re.compile(rf'("score"\s*:\s*)({_NUMBER}\s*/\s*\d{{1,6}})(?=\s*[,}}])')
_THOUGHTS_END = re.compile(
    r"</think(?:ing)?>|</thought>|</reasoning>|\[/THINK\]|◁/think▷|<\|channel\|>final<\|message\|>"
)
_THOUGHTS_START = re.compile(r"\s*(?:<think(?:ing)?>|<thought>|<reasoning>|\[THINK\]|◁think▷)")
_OBJECT_START = re.compile(r'\{\s*"')
# A backslash that starts no JSON escape; a pair of backslashes is left alone.
_RAW_BACKSLASH = re.compile(r'(\\["\\/bfnrt]|\\u[0-9A-Fa-f]{4})|\\')
# JSON reads \frac and \beta as a form feed and a backspace, which no justification holds.
_CONTROL = str.maketrans({"\f": "\\f", "\b": "\\b"})


class ReplyFault(ValueError):
    """Why a reply cannot be used, in a few words."""


@dataclass(frozen=True)
class Verdict:
    """What a reply says on one criterion.

    Attributes:
        score: The score, a label of the scale.
        justification: Why, if the reply says so.
    """

    score: int
    justification: str | None


def parse_reply(text: str, criteria: Sequence[Criterion], joint: bool) -> dict[str, Verdict]:
    """Read a reply.

    Args:
        text: The reply.
        criteria: The criteria that were asked for.
        joint: Whether an object for each criterion was asked for, instead of one score.

    Returns:
        A verdict for each criterion, by key.

    Raises:
        ReplyFault: If the reply's meaning is not certain.
    """
    answer = without_thoughts(text).strip()
    if not answer:
        raise ReplyFault("it is empty")
    first = criteria[0]
    alone = _SCORE_ALONE.fullmatch(answer)
    if alone and not joint:
        return {first.key: Verdict(_label(alone, first.scale), None)}
    found = _find_object(answer)
    if not joint:
        return {first.key: _verdict(found, first.scale)}
    missing = [each.key for each in criteria if not isinstance(found.get(each.key), dict)]
    if missing:
        raise ReplyFault(f"it has no object for {', '.join(missing)}")
    return {each.key: _verdict(found[each.key], each.scale) for each in criteria}


def reply_object(text: str) -> dict[str, Any]:
    """Read the one JSON object that a reply holds, whatever is in it.

    Raises:
        ReplyFault: If there is none, or more than one.
    """
    answer = without_thoughts(text).strip()
    if not answer:
        raise ReplyFault("it is empty")
    return _find_object(answer)


def without_thoughts(text: str) -> str:
    """Return what a reply says after its thoughts; nothing if they do not end."""
    end = max((match.end() for match in _THOUGHTS_END.finditer(text)), default=0)
    return "" if end == 0 and _THOUGHTS_START.match(text) else text[end:]


def score_probabilities(
    text: str, tokens: Sequence[Token], criterion: Criterion, score: int, joint: bool
) -> dict[int, float]:
    """Read the probabilities of the labels off the token where the score stands.

    Args:
        text: The reply, which `parse_reply` accepted.
        tokens: Its tokens with their candidates' log-probabilities; those of thoughts may come
            before them.
        criterion: Whose score.
        score: The score that `parse_reply` read.
        joint: Whether the reply holds an object for each criterion.

    Returns:
        Probability of each label of the scale, normalised over them; a label that is not among the
        candidates has probability 0.

    Raises:
        ReplyFault: If no token consists of the score alone, or a candidate may be the beginning of
            another label.
    """
    written = "".join(token.text for token in tokens)
    start = answer_start(written, without_thoughts(text))
    before = rf'"{re.escape(criterion.key)}"\s*:\s*\{{[^{{}}]*?' if joint else ""
    keyed = re.compile(before + rf'"score"\s*:\s*"?({_NUMBER})').search(written, start)
    place = keyed or re.compile(f"({_NUMBER})").search(written, start)
    token = token_at(tokens, place.start(1)) if place else None
    if token is None or token.text.strip() != str(score):
        raise ReplyFault("no token of the reply consists of the score alone")
    weights = dict.fromkeys(criterion.scale.labels, 0.0)
    by_text = {str(label): label for label in weights}
    for candidate, logprob in token.logprobs.items():
        if candidate.strip() in by_text:
            weights[by_text[candidate.strip()]] += math.exp(logprob)
    _require_whole_labels(by_text, token)
    total = math.fsum(weights.values())
    if not total > 0:
        raise ReplyFault("no score is among the candidates of the score's token")
    return {label: weight / total for label, weight in weights.items()}


def _require_whole_labels(by_text: Mapping[str, int], token: Token) -> None:
    """Refuse to read "1" where it may begin "10", or "-" "-1": only a single token tells."""
    candidates = {candidate.strip() for candidate in token.logprobs}
    for text in by_text:
        longer = any(text.startswith(other) and text != other for other in ("-", *by_text))
        if longer and text not in candidates:
            raise ReplyFault(f"the label {text} may take several tokens, the first that of another")


def answer_start(written: str, answer: str) -> int:
    """Find where the answer starts in all that was written, thoughts included."""
    if written.endswith(answer):
        return len(written) - len(answer)
    after_thoughts = len(written) - len(without_thoughts(written))
    return max(written.find(answer, after_thoughts), after_thoughts)


def token_at(tokens: Sequence[Token], offset: int) -> Token | None:
    """Find the token that covers a character of all that was written."""
    end = 0
    for token in tokens:
        end += len(token.text)
        if offset < end:
            return token
    return None


def _find_object(answer: str) -> dict[str, Any]:
    body = _UNQUOTED_FRACTION.sub(r'\1"\2"', answer)
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
        return read_object(text, start)
    except DuplicateKey as fault:
        raise ReplyFault(str(fault)) from fault
    except JsonFault:
        return None


def _double(match: re.Match[str]) -> str:
    return match.group(1) or "\\\\"


def _verdict(found: Mapping[str, Any], scale: Scale) -> Verdict:
    if "score" not in found:
        raise ReplyFault('it has no "score"')
    justification = found.get("justification")
    text = justification.translate(_CONTROL) if isinstance(justification, str) else None
    return Verdict(_score(found["score"], scale), text)


def _score(value: Any, scale: Scale) -> int:
    is_score = isinstance(value, (int, float, str)) and not isinstance(value, bool)
    match = _SCORE_TEXT.fullmatch(str(value).strip()) if is_score else None
    if match is None:
        raise ReplyFault(_not_on(scale))
    return _label(match, scale)


def _label(match: re.Match[str], scale: Scale) -> int:
    """The label that a score and perhaps a denominator spell."""
    label = int(match.group(1))
    if label not in scale.labels or match.group(2) not in (None, str(scale.maximum)):
        raise ReplyFault(_not_on(scale))
    return label


def _not_on(scale: Scale) -> str:
    return f"its score is not a whole number from {scale.minimum} to {scale.maximum}"
