"""What calls cost, and stopping before a limit is passed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inspector_plugin.data.files import require_ordinary
from inspector_plugin.errors import DataError
from inspector_plugin.folders import expanded
from inspector_plugin.judges.prompt.untrusted import finite, read_json

_MILLION = 1_000_000
_MOST_BYTES = 2**20
# Besides the text, chat templates add a few tokens for each message.
_TEMPLATE_TOKENS = 64


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens.

    Attributes:
        miss: Prompt tokens that the provider reads anew.
        hit: Prompt tokens that it has in its prefix cache.
        output: Completion tokens.
    """

    miss: float
    hit: float
    output: float

    def cost(self, prompt_tokens: int, cached_prompt_tokens: int, completion_tokens: int) -> float:
        """Return the price of a call in US dollars."""
        missed = prompt_tokens - cached_prompt_tokens
        total = missed * self.miss + cached_prompt_tokens * self.hit
        return (total + completion_tokens * self.output) / _MILLION

    def most(self, prompt_bytes: int, max_tokens: int) -> float:
        """Return the most that a call can cost: a token is at least one byte of the prompt."""
        return self.cost(prompt_bytes + _TEMPLATE_TOKENS, 0, max_tokens)


# As the providers listed them in 2025; providers change them: a file of your own overrides these.
PRICES: Mapping[str, Price] = {
    "deepseek-chat": Price(miss=0.28, hit=0.028, output=0.42),
    "deepseek-reasoner": Price(miss=0.28, hit=0.028, output=0.42),
    "gpt-4o": Price(miss=2.50, hit=1.25, output=10.00),
    "gpt-4o-mini": Price(miss=0.15, hit=0.075, output=0.60),
    "gpt-4.1": Price(miss=2.00, hit=0.50, output=8.00),
    "gpt-4.1-mini": Price(miss=0.40, hit=0.10, output=1.60),
    "gpt-4.1-nano": Price(miss=0.10, hit=0.025, output=0.40),
}


def price_of(model: str, path: str | None) -> Price | None:
    """Look a model's price up.

    Args:
        model: The model's name at its endpoint.
        path: JSON file `{"<model>": {"miss": ..., "hit": ..., "output": ...}}` in US dollars per
            million tokens, which overrides the built-in table.

    Returns:
        The price, None if neither file nor table has one.

    Raises:
        DataError: If the file cannot be read or is not of that form.
    """
    if path is None:
        return PRICES.get(model)
    try:
        file = expanded(path)
        require_ordinary(file, _MOST_BYTES)
        table = read_json(file.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"Cannot read the prices in {path}: {error}.") from error
    if not isinstance(table, dict):
        raise DataError(f"{path}: prices must be one JSON object with an entry for each model.")
    return _price(table[model], f"{path}: {model!r}") if model in table else PRICES.get(model)


def _price(row: Any, where: str) -> Price:
    names = ("miss", "hit", "output")
    if not isinstance(row, dict) or set(row) != set(names):
        raise DataError(f"{where}: a price has the fields {', '.join(names)}.")
    for name in names:
        value = finite(row[name])
        if value is None or value < 0:
            raise DataError(
                f"{where}: {name} must be a number of at least 0, not {row[name]!r:.40}."
            )
    return Price(**{name: float(row[name]) for name in names})


class Budget:
    """Keeps the money spent below a limit, counting what is under way at its highest price.

    Attributes:
        limit: US dollars; None for no limit.
        spent: US dollars spent so far.
    """

    def __init__(self, limit: float | None) -> None:
        """Take the limit."""
        self.limit = limit
        self.spent = 0.0
        self._reserved = 0.0
        self._settled = asyncio.Condition()

    async def reserve(self, most: float) -> bool:
        """Set money aside for one call, waiting for others to be settled if need be.

        Returns:
            Whether the call may be made: False if it could pass the limit.
        """
        if self.limit is None:
            return True
        limit = self.limit
        async with self._settled:
            await self._settled.wait_for(
                lambda: self.spent + self._reserved + most <= limit or not self._reserved
            )
            if self.spent + self._reserved + most > limit:
                return False
            self._reserved += most
            return True

    async def settle(self, most: float, cost: float) -> None:
        """Replace what was set aside for a call by what it has cost."""
        if self.limit is None:
            return
        async with self._settled:
            self.spent += cost
            self._reserved -= most
            if self._reserved < 1e-12:
                self._reserved = 0.0
            self._settled.notify_all()
