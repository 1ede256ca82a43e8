"""Reading chat completions, in the forms that OpenAI-compatible endpoints give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inspector_plugin.judges.prompt.error_answers import read_error_object
from inspector_plugin.judges.prompt.faults import RefusedCall, TransientFault, withheld
from inspector_plugin.judges.prompt.messages import Refusal, Reply, Token
from inspector_plugin.judges.prompt.untrusted import finite, one_line
from inspector_plugin.schema.usage import Usage

_MOST_TOKENS = 1e12
_CUT = ("length", "max_tokens", "max_output_tokens", "model_length")
_WITHHELD = (
    "content_filter",
    "safety",
    "refusal",
    "blocked",
    "blocklist",
    "prohibited_content",
    "recitation",
    "spii",
    "sensitive",
)
_TEXT_PARTS = ("text", "output_text")
# A log-probability may pass 0 by rounding.
_MOST_LOGPROB = 1e-3


class NoLogprobs(Exception):
    """There are no log-probabilities, or none of candidates, although they were asked for."""


def read_completion(body: object, logprobs: bool, key: str | None) -> Reply | Refusal:
    """Read what an endpoint answered with status 200.

    Args:
        body: The answer, as JSON.
        logprobs: Whether log-probabilities were asked for.
        key: The key, which the answer may quote.

    Returns:
        The reply, with its tokens counted; its money is 0 if they are known, None if not.

    Raises:
        TransientFault: If this is no chat completion, or one without a choice.
        RefusedCall: If it is an error.
        NoLogprobs: If there are no log-probabilities although they were asked for.
    """
    if not isinstance(body, Mapping):
        raise TransientFault("the answer is no chat completion: it is no JSON object")
    usage = _usage(body.get("usage"))
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, Mapping):
        if body.get("error"):
            raise RefusedCall(read_error_object(body["error"], key))
        reason = "the answer is no chat completion: it has no choices"
        raise TransientFault(reason, is_chat_api="choices" in body, usage=usage)
    finish = choice.get("finish_reason")
    finish = finish.lower() if isinstance(finish, str) else ""
    if choice.get("error") or finish == "error":
        raise RefusedCall(read_error_object(choice.get("error"), key, 502))
    if finish.startswith(_WITHHELD):
        return withheld(one_line(finish, key), usage)
    message = choice.get("message")
    if not isinstance(message, Mapping):
        reason = "the answer is no chat completion: its choice has no message"
        raise TransientFault(reason, is_chat_api=True, usage=usage)
    text = _text(message, usage)
    if not text.strip() and isinstance(message.get("refusal"), str) and message["refusal"]:
        return withheld(one_line(message["refusal"], key), usage)
    cut = finish in _CUT
    tokens = _tokens(choice.get("logprobs"), usage) if logprobs and text.strip() else None
    return Reply(text, usage, tokens, cut)


def _text(message: Mapping[str, Any], usage: Usage) -> str:
    """Join the parts of a message that are text, and no thoughts."""
    content = message.get("content")
    parts = map(_text_of_part, content) if isinstance(content, list) else [content or ""]
    texts = list(parts)
    if not all(isinstance(text, str) for text in texts):
        reason = "the answer is no chat completion: its content is not text"
        raise TransientFault(reason, is_chat_api=True, usage=usage)
    text = "".join(texts)
    return text if text.strip() else _misplaced(message)


def _text_of_part(part: object) -> Any:
    if not isinstance(part, Mapping):
        return part
    return part.get("text") if part.get("type", "text") in _TEXT_PARTS else ""


def _misplaced(message: Mapping[str, Any]) -> str:
    """Some servers put the whole answer where thoughts belong: taken if it is JSON and no more."""
    for name in ("reasoning_content", "reasoning"):
        text = message.get(name)
        if isinstance(text, str) and text.lstrip().startswith(("{", "```")):
            return text if text.rstrip().endswith(("}", "```")) else ""
    return ""


def _usage(row: object) -> Usage:
    """Count tokens; DeepSeek and OpenAI name those from the prefix cache differently."""
    if not isinstance(row, Mapping):
        return Usage(calls=1, money=None)
    prompt, completion = _count(row, "prompt_tokens"), _count(row, "completion_tokens")
    details = row.get("prompt_tokens_details")
    cached = _count(row, "prompt_cache_hit_tokens")
    if cached is None and isinstance(details, Mapping):
        cached = _count(details, "cached_tokens")
    return Usage(
        calls=1,
        prompt_tokens=prompt or 0,
        cached_prompt_tokens=min(cached or 0, prompt or 0),
        completion_tokens=completion or 0,
        money=None if prompt is None or completion is None else 0.0,
    )


def _count(row: Mapping[str, Any], key: str) -> int | None:
    value = finite(row.get(key))
    is_count = value is not None and 0 <= value <= _MOST_TOKENS and value == int(value)
    return int(value) if is_count and value is not None else None


def _tokens(logprobs: object, usage: Usage) -> tuple[Token, ...]:
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    if not isinstance(content, list) or not content:
        raise NoLogprobs("no token log-probabilities")
    tokens = tuple(_token(entry, usage) for entry in content)
    if not any(token.logprobs for token in tokens):
        raise NoLogprobs("no candidates (top_logprobs) with its token log-probabilities")
    return tokens


def _token(entry: object, usage: Usage) -> Token:
    fault = TransientFault(
        "the answer's log-probabilities are malformed", is_chat_api=True, usage=usage
    )
    if not isinstance(entry, Mapping) or not isinstance(entry.get("token"), str):
        raise fault
    candidates = entry.get("top_logprobs") or []
    if not isinstance(candidates, list):
        raise fault
    found: dict[str, float] = {}
    for candidate in candidates:
        text = candidate.get("token") if isinstance(candidate, Mapping) else None
        logprob = candidate.get("logprob") if isinstance(candidate, Mapping) else None
        if not isinstance(text, str) or not _is_logprob(logprob):
            raise fault
        found[text] = float(logprob)  # type: ignore[arg-type]
    return Token(entry["token"], found)


def _is_logprob(value: object) -> bool:
    """Whether it is a number up to 0; minus infinity stands for a probability of 0."""
    if value == float("-inf"):
        return True
    number = finite(value)
    return number is not None and number <= _MOST_LOGPROB
