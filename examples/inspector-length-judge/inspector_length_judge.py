"""A judge that scores a response by its number of words: the baseline that a judge should beat.

It is also the example of a whole plugin: a judge, its backend and the hook that registers it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from inspector_plugin import (
    AspectScore,
    Backend,
    Judge,
    Judgement,
    JudgeRequest,
    Option,
    hookimpl,
)
from inspector_plugin.errors import OptionError


class LengthJudge(Judge):
    """Scores every aspect from 1 (no words) to 5 (`words` words or more), in a straight line."""

    def __init__(self, words: int) -> None:
        """Check the options.

        Args:
            words: The number of words, from 1, that earns the highest score.

        Raises:
            OptionError: If `words` is below 1.
        """
        if words < 1:
            raise OptionError(f"Judge 'length': option 'words' must be at least 1, not {words}.")
        self._words = words

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        """Count words; see `Judge.judge`."""
        return [
            Judgement(dict.fromkeys(request.aspects, self._score(request.response)))
            for request in requests
        ]

    def describe(self) -> Mapping[str, Any]:
        """Name the one option."""
        return {"words": self._words}

    def _score(self, response: str) -> AspectScore:
        share = min(len(response.split()) / self._words, 1)
        score = self.scale.minimum + share * (self.scale.maximum - self.scale.minimum)
        return AspectScore(score=score, label=self.scale.nearest(score))


@hookimpl
def register_judges(register: Callable[[Backend], None]) -> None:
    """Register the judge `length`."""
    register(
        Backend(
            name="length",
            summary="number of words: the baseline that a judge should beat",
            factory=LengthJudge,
            options=(Option("words", "words that earn the highest score", int, 200),),
        )
    )
