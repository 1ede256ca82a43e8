"""Chats: messages with `role` and `content`, as endpoints and chat templates take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Chat = Sequence[Mapping[str, str]]


def fold_system(chat: Chat) -> list[Mapping[str, str]]:
    """Put the system messages at the beginning of a chat into the user message that follows.

    Args:
        chat: The chat.

    Returns:
        The chat as endpoints and chat templates take it that have no system role.
    """
    rest = list(chat)
    texts = []
    while rest and rest[0]["role"] == "system":
        texts.append(rest.pop(0)["content"])
    if not texts or not rest:
        return list(chat)
    first = {**rest[0], "content": "\n\n".join([*texts, rest[0]["content"]])}
    return [first, *rest[1:]]
