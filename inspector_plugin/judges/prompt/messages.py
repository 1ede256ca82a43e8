"""What travels between the prompt judge and whatever answers it: conversations and replies."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from inspector_plugin.schema.criteria import MULTICLASS, Criterion
from inspector_plugin.schema.records import JudgeRequest
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
        expected_tokens: Tokens that the answer is likely to take, for estimates; None where the
            schema tells.
        beginning: What the answer begins with: a language model on this machine goes on from
            there. Endpoints have no common way to do so, and leave it out.
        words: Words that may be the answer, beside the labels.
    """

    messages: tuple[Message, ...]
    schema: Mapping[str, Any]
    labels: tuple[int, ...] = MULTICLASS.labels
    expected_tokens: int | None = None
    beginning: str = ""
    words: tuple[str, ...] = ()

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


@dataclass(frozen=True)
class ItemValues:
    """What a language model says on the items of a rubric without writing anything.

    Attributes:
        values: From 0 to 1 by key of the item: the probability of yes, or the expected rating's
            value.
        usage: What it cost.
    """

    values: Mapping[str, float]
    usage: Usage


ReadItems = Generator[list[tuple[int, ItemValues | Refusal]], None, None]
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


@runtime_checkable
class ItemSource(Protocol):
    """A source that reads answers to the items of a rubric off a model's next token."""

    def item_values(self, asked: Sequence[tuple[JudgeRequest, Criterion]]) -> ReadItems:
        """Read the answers.

        Args:
            asked: Responses, each with the rubric whose items to read.

        Yields:
            Groups of what was read, each with its position, in any order.

        Raises:
            JudgeError: If nothing at all can be read any more.
        """
        ...

    def cannot_read(self, criterion: Criterion) -> str | None:
        """Say why the answers to a rubric's items cannot be read; None if they can."""
        ...
