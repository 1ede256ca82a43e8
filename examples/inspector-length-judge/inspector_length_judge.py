"""A judge that scores a response by its number of words: the baseline that a judge should beat.

It is also the example of a whole plugin: a judge, its options, its backend and the hook that
registers it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inspector_plugin import (
    Backend,
    CriterionScore,
    Judge,
    Judgement,
    JudgeRequest,
    Scale,
    hookimpl,
    option,
)
from inspector_plugin.errors import OptionError


@dataclass(frozen=True)
class LengthOptions:
    """The options of the judge `length`."""

    words: int = option(200, "words that earn the highest score")


class LengthJudge(Judge):
    """Scores every criterion from no words to `words` words or more, in a straight line."""

    scale = None  # each criterion is scored on its own scale

    def __init__(self, options: LengthOptions) -> None:
        """Check the options.

        Args:
            options: The options; `words` is the number of words that earns the highest score.

        Raises:
            OptionError: If `words` is below 1.
        """
        if options.words < 1:
            raise OptionError(
                f"Judge 'length': option 'words' must be at least 1, not {options.words}."
            )
        self._words = options.words

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        """Count words; see `Judge.judge`."""
        return [
            Judgement(
                {
                    criterion.key: self._score(request.response, criterion.scale)
                    for criterion in request.criteria
                }
            )
            for request in requests
        ]

    def describe(self) -> Mapping[str, Any]:
        """Name the one option."""
        return {"words": self._words}

    def _score(self, response: str, scale: Scale) -> CriterionScore:
        share = min(len(response.split()) / self._words, 1)
        score = scale.minimum + share * (scale.maximum - scale.minimum)
        return CriterionScore(score=score, label=scale.nearest(score))


@hookimpl
def register_judges(register: Callable[[Backend], None]) -> None:
    """Register the judge `length`."""
    register(
        Backend(
            name="length",
            summary="number of words: the baseline that a judge should beat",
            factory=LengthJudge,
            options=LengthOptions,
        )
    )
