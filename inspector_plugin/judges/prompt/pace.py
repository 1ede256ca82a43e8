"""How fast an endpoint is asked: never faster than it allows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_CUT = 0.75


class LongPause(Exception):
    """The endpoint asked to wait longer than a call has time.

    Attributes:
        seconds: How long.
    """

    def __init__(self, seconds: float) -> None:
        """Take the time."""
        super().__init__(f"{seconds:.0f} s")
        self.seconds = seconds


class Throttle:
    """Spaces events out evenly, so that no minute sees more of them than allowed."""

    def __init__(self, per_minute: int | None) -> None:
        """Take the limit; None for no limit."""
        self._seconds = 60.0 / per_minute if per_minute else 0.0
        self._free_at = 0.0

    def delay(self) -> float:
        """The seconds to wait before the next event may happen."""
        return max(0.0, self._free_at - time.monotonic())

    def book(self, amount: int = 1) -> None:
        """Take in that so many events happen now."""
        self._free_at = max(time.monotonic(), self._free_at) + amount * self._seconds


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
        # One call at a time waits for the throttles: who gives up has booked nothing.
        self._line = asyncio.Lock()

    @asynccontextmanager
    async def turn(self, tokens: int, patience: float) -> AsyncIterator[float]:
        """Wait until a call may be made, and hold its place while it is.

        Args:
            tokens: About how many tokens the call will use.
            patience: The longest pause, in seconds, that the endpoint may ask for.

        Yields:
            When the call started, for `slow_down`.

        Raises:
            LongPause: If the endpoint asked for a longer pause.
        """
        async with self._room:
            await self._room.wait_for(lambda: self._active < max(1, int(self.limit)))
            self._active += 1
        try:
            async with self._line:
                await self._wait(patience)
                await asyncio.sleep(max(self._requests.delay(), self._tokens.delay()))
                await self._wait(patience)
                self._requests.book()
                self._tokens.book(tokens)
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

    async def _wait(self, patience: float) -> None:
        """Wait until the pause is over that the endpoint asked for."""
        while (pause := self._pause_until - time.monotonic()) > 0:
            if pause > patience:
                raise LongPause(pause)
            await asyncio.sleep(pause)
