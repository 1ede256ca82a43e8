"""What judging costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from inspector_plugin.errors import count_of
from inspector_plugin.schema.stored_values import number_in


@dataclass(frozen=True)
class Usage:
    """What judging cost in this run.

    Attributes:
        calls: Calls of a language model that were answered.
        prompt_tokens: Tokens that it read, those of `cached_prompt_tokens` included.
        cached_prompt_tokens: Those of them that the provider had in its prefix cache.
        completion_tokens: Tokens that it wrote.
        seconds: Time that the calls took, summed up even where they ran side by side.
        money: US dollars; None where a price or a token count is not known.
        reused: Judgements taken from the judge cache, at no cost.
    """

    calls: int = 0
    prompt_tokens: int = 0
    cached_prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    money: float | None = 0.0
    reused: int = 0

    def __add__(self, other: Usage) -> Usage:
        known = self.money is not None and other.money is not None
        return Usage(
            calls=self.calls + other.calls,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            cached_prompt_tokens=self.cached_prompt_tokens + other.cached_prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            seconds=self.seconds + other.seconds,
            money=(self.money or 0.0) + (other.money or 0.0) if known else None,
            reused=self.reused + other.reused,
        )

    @staticmethod
    def from_json(row: Mapping[str, Any]) -> Usage:
        """Make the usage that `to_json` wrote.

        Raises:
            TypeError, ValueError: If it is malformed.
        """
        if not isinstance(row, Mapping):
            raise TypeError(f"{row!r:.40} is not what something cost")
        numbers = {
            name: None if name == "money" and value is None else number_in(value)
            for name, value in row.items()
        }
        return Usage(**numbers)  # type: ignore[arg-type]

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON, seconds and money with sensible digits."""
        money = None if self.money is None else round(self.money, 6)
        return asdict(replace(self, seconds=round(self.seconds, 3), money=money))

    @property
    def cost(self) -> str:
        """The money as people read it."""
        return "unknown cost" if self.money is None else f"${self.money:.4f}"

    def __str__(self) -> str:
        return (
            f"{count_of(self.calls, 'call')}, {count_of(self.prompt_tokens, 'prompt token')} "
            f"({self.cached_prompt_tokens} cached by the provider), "
            f"{count_of(self.completion_tokens, 'completion token')}, {self.cost}; "
            f"{count_of(self.reused, 'judgement')} reused"
        )
