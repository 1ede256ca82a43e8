"""The chat-completions protocol: what is sent, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inspector_plugin.errors import JudgeError
from inspector_plugin.judges.prompt.messages import Conversation, Refusal, Reply, Token
from inspector_plugin.judges.prompt.options import PromptOptions
from inspector_plugin.schema.usage import Usage

TOP_LOGPROBS = 20


class CompletionFault(Exception):
    """An answer that is JSON, but no chat completion."""


def request_body(
    conversation: Conversation, options: PromptOptions, reply_format: str
) -> dict[str, Any]:
    """Write the body of a call.

    Args:
        conversation: What to ask.
        options: Model and limits.
        reply_format: "schema", "json" or "text".
    """
    body: dict[str, Any] = {
        "model": options.model,
        "messages": [message.to_json() for message in conversation.messages],
        "temperature": 0,
        "max_tokens": options.reply_tokens,
    }
    if reply_format == "json":
        body["response_format"] = {"type": "json_object"}
    elif reply_format == "schema":
        schema = {"name": "judgement", "strict": True, "schema": dict(conversation.schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if options.logprobs:
        body |= {"logprobs": True, "top_logprobs": TOP_LOGPROBS}
    return body


def read_completion(body: object, logprobs: bool) -> Reply | Refusal:
    """Read what an endpoint answered.

    Args:
        body: The answer, as JSON.
        logprobs: Whether log-probabilities were asked for.

    Returns:
        The reply, with its tokens counted; its money is 0 if they are known, None if not.

    Raises:
        CompletionFault: If this is no chat completion.
        JudgeError: If there are no log-probabilities although they were asked for.
    """
    choice = _first(body, "choices")
    message = choice.get("message")
    if not isinstance(message, Mapping):
        raise CompletionFault("the answer is no chat completion: its choice has no message")
    content = message.get("content")
    if content is not None and not isinstance(content, str):
        raise CompletionFault("the answer is no chat completion: its content is not text")
    usage = _usage(body.get("usage") if isinstance(body, Mapping) else None)
    if choice.get("finish_reason") == "content_filter":
        return Refusal("the endpoint's content filter withheld the reply", False, usage)
    tokens = _tokens(choice.get("logprobs")) if logprobs and content else None
    return Reply(content or "", usage, tokens)


def _first(body: object, key: str) -> Mapping[str, Any]:
    values = body.get(key) if isinstance(body, Mapping) else None
    if not isinstance(values, list) or not values or not isinstance(values[0], Mapping):
        raise CompletionFault(f"the answer is no chat completion: it has no {key}")
    return values[0]


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
    value = row.get(key)
    return value if isinstance(value, int) and value >= 0 else None


def _tokens(logprobs: object) -> tuple[Token, ...]:
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    if not isinstance(content, list) or not content:
        raise JudgeError(
            "The endpoint returns no token log-probabilities, which logprobs=true needs; judge "
            "without logprobs, or use an endpoint and a model that offer them."
        )
    try:
        return tuple(
            Token(
                text=str(entry["token"]),
                logprobs={
                    str(other["token"]): float(other["logprob"]) for other in entry["top_logprobs"]
                },
            )
            for entry in content
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CompletionFault("its log-probabilities are malformed") from error
