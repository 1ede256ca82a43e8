"""How fast an endpoint is asked: never faster than it allows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_CUT = 0.75


class Throttle:
    """Spaces events out evenly, so that no minute sees more of them than allowed."""

    def __init__(self, per_minute: int | None) -> None:
        """Take the limit; None for no limit."""
        self._seconds = 60.0 / per_minute if per_minute else 0.0
        self._free_at = 0.0

    def delay(self, amount: int = 1) -> float:
        """Book a place for so many events.

        Returns:
            The seconds to wait before they may happen.
        """
        now = time.monotonic()
        start = max(now, self._free_at)
        self._free_at = start + amount * self._seconds
        return start - now


class Pace:
    """Lets calls through: so many at once, fewer after the endpoint has asked for fewer.

    The number of calls at once falls by a quarter when the endpoint answers "too many requests",
    and grows by one for each round of calls that goes well (additive increase, multiplicative
    decrease).

    Attributes:
        limit: How many calls may be under way at present, at least 1.
    """

    def __init__(
        self,
        concurrency: int,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
    ) -> None:
        """Take the limits; None for no limit."""
        self.limit = float(concurrency)
        self._concurrency = concurrency
        self._requests = Throttle(requests_per_minute)
        self._tokens = Throttle(tokens_per_minute)
        self._active = 0
        self._pause_until = 0.0
        self._last_cut = 0.0
        self._room = asyncio.Condition()

    @asynccontextmanager
    async def turn(self, tokens: int) -> AsyncIterator[float]:
        """Wait until a call may be made, and hold its place while it is.

        Args:
            tokens: About how many tokens the call will use.

        Yields:
            When the call started, for `slow_down`.
        """
        async with self._room:
            await self._room.wait_for(lambda: self._active < max(1, int(self.limit)))
            self._active += 1
        try:
            await self._wait(max(self._requests.delay(), self._tokens.delay(tokens)))
            yield time.monotonic()
        finally:
            self._active -= 1
            async with self._room:
                self._room.notify()

    def slow_down(self, started: float, pause: float | None) -> None:
        """Take in that the endpoint answered "too many requests".

        Args:
            started: When the refused call started: of the calls refused together, only the first
                lowers the limit.
            pause: The seconds that the endpoint asked to wait, if it did.
        """
        now = time.monotonic()
        if started >= self._last_cut:
            self.limit = max(1.0, self.limit * _CUT)
            self._last_cut = now
        if pause is not None:
            self._pause_until = max(self._pause_until, now + pause)

    def speed_up(self) -> None:
        """Take in that a call went well."""
        self.limit = min(float(self._concurrency), self.limit + 1 / self.limit)

    async def _wait(self, delay: float) -> None:
        await asyncio.sleep(delay)
        while (pause := self._pause_until - time.monotonic()) > 0:
            await asyncio.sleep(pause)
