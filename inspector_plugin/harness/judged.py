"""What lm_eval keeps of our judging: plain values for its log, judgements for our metrics."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from inspector_plugin.schema import Judgement, Scale


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Judgements of the responses to one question, and the reference's of the same responses.

    Attributes:
        question: The question; the bootstrap draws questions.
        judged: The judge's judgements.
        reference: The reference's, in the same order.
        judge_scale: The scale of the judge.
        reference_scale: The scale of the reference.
    """

    question: str
    judged: Sequence[Judgement]
    reference: Sequence[Judgement]
    judge_scale: Scale
    reference_scale: Scale

    def __repr__(self) -> str:
        """Say little: lm_eval's sample log repeats it for each statistic."""
        return "see filtered_resps"


class JudgementRow(dict[str, Any]):
    """A judgement as plain values, which lm_eval's sample log writes as JSON text."""

    def __str__(self) -> str:
        return json.dumps(self, ensure_ascii=False)


class JudgedResponses(list[JudgementRow]):
    """The judgements of the responses to one document, as lm_eval's filtered responses.

    Attributes:
        judgements: The judgements.
        comparison: The same beside the reference's; None where there is no reference.
    """

    def __init__(
        self, judgements: Sequence[Judgement], comparison: Comparison | None = None
    ) -> None:
        super().__init__(map(_row, judgements))
        self.judgements = judgements
        self.comparison = comparison


def _row(judgement: Judgement) -> JudgementRow:
    row = JudgementRow(judgement.to_json())
    if judgement.usage is not None:
        row["usage"] = judgement.usage.to_json()
    return row
