"""Conversations, as chat logs store them: which text is the question, which the reply.

A conversation is a list of messages, each an object with a role and a content. The content is a
text, or a list of parts of which those of type text are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

NO_REPLY = "the conversation holds no reply of the assistant"
_ROLES = {"human": "user", "gpt": "assistant", "model": "assistant", "bot": "assistant"}
_SPEAKERS = {"user": "User", "assistant": "Assistant"}


def is_conversation(value: Any) -> bool:
    """Whether a value is a list of messages, at least one."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(each, Mapping) and _role(each) is not None for each in value)
    )


def reply_of(messages: Sequence[Mapping[str, Any]]) -> str | None:
    """Return what the assistant says at the end: all its messages after the user's last one.

    Returns:
        The text; None if the conversation doesn't end in such a message.
    """
    start = _last_question(messages)
    said = [_text(each) for each in messages[start:] if _role(each) == "assistant"]
    return "\n\n".join(said) if said else None


def question_of(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return what is asked: the user's message, or all turns up to the last one by speaker.

    Instructions to the model (system messages) are no part of the problem and are left out.
    """
    turns = [each for each in messages[: _last_question(messages)] if _role(each) in _SPEAKERS]
    if len(turns) == 1:
        return _text(turns[0])
    return "\n\n".join(f"{_SPEAKERS[_role(each) or '']}: {_text(each)}" for each in turns)


def _last_question(messages: Sequence[Mapping[str, Any]]) -> int:
    """The position after the last message of the user."""
    places = [place for place, each in enumerate(messages, 1) if _role(each) == "user"]
    return places[-1] if places else 0


def _role(message: Mapping[str, Any]) -> str | None:
    role = message.get("role", message.get("from"))
    return _ROLES.get(role, role) if isinstance(role, str) else None


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content", message.get("value"))
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, Mapping)]
        return "\n".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""
