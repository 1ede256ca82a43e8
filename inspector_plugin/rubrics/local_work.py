"""How long generating and refining take with a language model on this machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from inspector_plugin.errors import count_of
from inspector_plugin.rubrics.verdicts import Row
from inspector_plugin.rubrics.writer import Ask

if TYPE_CHECKING:
    from inspector_plugin.lm.speed import Speed

# Of English text; what a judge is told besides problem and response; an item with its question.
_CHARACTERS_PER_TOKEN, _AROUND, _PER_ITEM = 4, 200, 50


@dataclass
class LocalWork:
    """What a language model on this machine has to read and, at most, to write.

    Attributes:
        read: Tokens to read.
        written: For each batch of texts, how many texts of at most how many tokens.
    """

    read: int = 0
    written: list[tuple[int, int]] = field(default_factory=list)

    def add_reading(self, texts: Sequence[str], more_tokens: int = 0) -> None:
        """Count texts that are read, each with some tokens around it."""
        self.read += sum(len(text) // _CHARACTERS_PER_TOKEN + more_tokens for text in texts)

    def add_judging(self, rows: Sequence[Row], items: int) -> None:
        """Count responses whose verdicts on items are read off the next token."""
        texts = [row.problem.question + row.response for row in rows]
        self.add_reading(texts, _AROUND + items * _PER_ITEM)

    def add_writing(self, asks: Sequence[Ask[Any]], tokens: int, more_tokens: int = 0) -> None:
        """Count texts that are written, with what is read for each.

        Args:
            asks: What is asked.
            tokens: The most tokens of a text.
            more_tokens: Further tokens to read for each, such as responses not yet known.
        """
        self.add_reading([ask.system + ask.user for ask in asks], more_tokens)
        self.add_replies(len(asks), tokens)

    def add_replies(self, count: int, tokens: int, read: int = 0) -> None:
        """Count texts that are written after so many tokens each."""
        self.read += count * read
        if count:
            self.written.append((count, tokens))

    @property
    def texts(self) -> int:
        """How many texts are written."""
        return sum(count for count, _ in self.written)

    def seconds(self, speed: Speed) -> float:
        """The most that it takes at a speed."""
        steps = sum(math.ceil(count / speed.texts) * tokens for count, tokens in self.written)
        return self.read * speed.read + steps * speed.step

    def told(self, speed: Speed) -> str:
        """Say it in words."""
        minutes = self.seconds(speed) / 60
        longest = max((tokens for _, tokens in self.written), default=0)
        about = "a minute" if minutes < 1.5 else f"{math.ceil(minutes)} minutes"
        return (
            f"on this machine: up to about {about}, for some {self.read:,} tokens to read and "
            f"{count_of(self.texts, 'text')} of up to {longest} tokens to write (measured now: "
            f"{1 / speed.read:,.0f} tokens read a second, and {speed.texts / speed.step:,.0f} "
            f"written, {count_of(speed.texts, 'text')} at once)"
        )
