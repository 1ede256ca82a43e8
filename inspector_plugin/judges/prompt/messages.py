"""What travels between the prompt judge and whatever answers it: conversations and replies."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from inspector_plugin.schema.criteria import MULTICLASS
from inspector_plugin.schema.usage import Usage


@dataclass(frozen=True)
class Message:
    """One message of a chat.

    Attributes:
        role: "system", "user" or "assistant".
        content: The text.
    """

    role: str
    content: str

    def to_json(self) -> dict[str, str]:
        """Return the message as chat endpoints and chat templates take it."""
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True)
class Conversation:
    """What a language model is asked.

    Attributes:
        messages: The messages, the constant ones first.
        schema: JSON schema of the answer asked for.
        labels: The labels among which the scores asked for may be.
    """

    messages: tuple[Message, ...]
    schema: Mapping[str, Any]
    labels: tuple[int, ...] = MULTICLASS.labels

    @property
    def size(self) -> int:
        """Length of all messages in UTF-8 bytes; no tokenizer makes more tokens of them."""
        return sum(len(message.content.encode()) for message in self.messages)


@dataclass(frozen=True)
class Token:
    """A token of a reply.

    Attributes:
        text: Its text.
        logprobs: Natural log-probability of each candidate at this place, by the candidate's text.
    """

    text: str
    logprobs: Mapping[str, float]


@dataclass(frozen=True)
class Reply:
    """What a language model answered.

    Attributes:
        text: The answer.
        usage: What it cost.
        tokens: The answer's tokens, where log-probabilities were asked for; thoughts may come
            before it.
        cut: Whether it ends where the limit of tokens was reached.
    """

    text: str
    usage: Usage
    tokens: tuple[Token, ...] | None = None
    cut: bool = False


@dataclass(frozen=True)
class Refusal:
    """Why there is no reply to one conversation.

    Attributes:
        reason: One line.
        transient: Whether asking again later may help.
        usage: What it cost none the less.
    """

    reason: str
    transient: bool
    usage: Usage = field(default_factory=Usage)


Replies = Generator[list[tuple[int, Reply | Refusal]], None, None]


class Source(Protocol):
    """Where replies come from: an endpoint, or a language model on this machine."""

    def replies(self, conversations: Sequence[Conversation]) -> Replies:
        """Ask, and hand over replies as soon as they are there.

        A group of replies has been dealt with when the next group is asked for.

        Args:
            conversations: What to ask.

        Yields:
            Groups of replies, each with the position of its conversation, in any order.

        Raises:
            JudgeError: If no conversation at all can be answered any more.
        """
        ...

    def describe(self) -> Mapping[str, Any]:
        """Name the model and what else determines the replies. Never a key."""
        ...

    def clean(self, text: str) -> str:
        """Take out of a text what must not be kept: the key, and what no file can hold."""
        ...

    def close(self) -> None:
        """Free what the source holds. Closing twice is allowed."""
        ...
