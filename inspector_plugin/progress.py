"""Progress of what takes long: a bar on a terminal, a line a minute where output is piped."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from tqdm.auto import tqdm

SECONDS_BETWEEN_LINES = 60.0


class Progress:
    """Counts what is done out of a total, on standard error.

    A terminal shows a bar. Elsewhere a line appears every minute, and one at the end of whatever
    took longer than that.
    """

    def __init__(
        self, total: int, description: str, unit: str, done: int = 0, delay: float = 0.0
    ) -> None:
        """Begin.

        Args:
            total: How many there are.
            description: What is being done, such as "Judging (lager)".
            unit: What is counted, such as "response".
            done: How many an earlier run has done.
            delay: Seconds before a bar appears, for a part of something that has its own; such a
                bar is cleared in the end.
        """
        self._total, self._description, self._unit = total, description, unit
        self._done = self._initial = self._printed = done
        self._note = ""
        self._started = self._last_line = time.monotonic()
        self._bar = (
            tqdm(
                total=total,
                initial=done,
                desc=description,
                unit=unit,
                delay=delay,
                leave=not delay,
            )
            if sys.stderr.isatty()
            else None
        )

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count further ones as done.

        Args:
            count: How many.
            note: What to say beside the numbers, such as the cost so far.
        """
        self._done += count
        self._note = note or self._note
        if self._bar is not None:
            if note:
                self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(count)
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._print_line()

    def close(self) -> None:
        """End the bar, or print how far it came if lines have been printed before."""
        if self._bar is not None:
            self._bar.close()
        elif self._last_line > self._started and self._printed != self._done:
            self._print_line()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _print_line(self) -> None:
        self._last_line = time.monotonic()
        self._printed = self._done
        meter = tqdm.format_meter(
            self._done,
            self._total,
            self._last_line - self._started,
            prefix=self._description,
            unit=self._unit,
            initial=self._initial,
            postfix=self._note or None,
            bar_format="{desc}: {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]",
        )
        print(meter, file=sys.stderr, flush=True)
