"""The items of rubrics as questions of their own.

A judge that judges items apart is asked about each item by itself, as a rubric of that item alone,
whatever its weight, kind and key: each verdict is cached as soon as it is there, and serves every
rubric that holds the item. The score is made of the verdicts here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from inspector_plugin.schema.criteria import BINARY, Criterion, Scale
from inspector_plugin.schema.records import CriterionScore
from inspector_plugin.schema.rubric_scores import rubric_score
from inspector_plugin.schema.rubrics import RULE, ItemVerdict

_ITEM = "item"


def rubrics_of_one_item(criterion: Criterion) -> list[Criterion]:
    """Make a rubric of each item of a rubric, in their order."""
    return [
        replace(criterion, items=(replace(item, key=_ITEM, kind=RULE, weight=1.0),))
        for item in criterion.items
    ]


@dataclass
class ItemScores:
    """The answers on the items of one rubric for one request, as far as they are there.

    Attributes:
        criterion: The rubric.
        scale: The judge's scale; None for that of the rubric.
    """

    criterion: Criterion
    scale: Scale | None
    _answers: dict[str, CriterionScore] = field(default_factory=dict)

    def add(self, place: int, answer: CriterionScore) -> CriterionScore | None:
        """Take the answer on an item.

        Args:
            place: The position of the item.
            answer: The score of the rubric of that item alone.

        Returns:
            The score of the whole rubric when the last answer is there; else None.
        """
        self._answers[self.criterion.items[place].key] = answer
        if len(self._answers) < len(self.criterion.items):
            return None
        answers = [self._answers[item.key] for item in self.criterion.items]
        unread = [each for each in answers if each.score is None]
        score = rubric_score(
            self.criterion,
            {key: _verdict(each) for key, each in self._answers.items()},
            explanation=_first([each.explanation for each in unread]),
            flags=tuple(dict.fromkeys(flag for each in answers for flag in each.flags)),
            transient=any(each.transient for each in unread),
        )
        if self.scale == BINARY:
            score = score.as_binary(self.criterion.scale)
        scale = self.scale or self.criterion.scale
        return replace(score, scale=scale, fingerprint=self.criterion.fingerprint)


def _verdict(answer: CriterionScore) -> ItemVerdict:
    """The verdict in the answer on a rubric of one item."""
    verdict = (answer.items or {}).get(_ITEM)
    if verdict is not None:
        return verdict
    return ItemVerdict(None, answer.reason or "the judge gave no verdict on it")


def _first(texts: Sequence[str | None]) -> str | None:
    return next((text for text in texts if text is not None), None)
