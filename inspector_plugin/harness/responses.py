"""What lm_eval keeps of our judging: JSON text for its log, judgements for our metrics."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from inspector_plugin.schema.records import Judgement, JudgeRequest


@dataclass(frozen=True, eq=False, repr=False)
class JudgedDocument:
    """The judgements of the responses to one document, for the figures over all documents.

    Attributes:
        id: The problem's id.
        question: The problem.
        judged: The judge's judgements of the responses.
        reference: The reference's, in the same order; None where there is no reference.
    """

    id: str
    question: str
    judged: Sequence[Judgement]
    reference: Sequence[Judgement] | None = None

    def __repr__(self) -> str:
        """Say little: lm_eval's sample log repeats it for each statistic."""
        return "see agreement in the results"


class Coverage(float):
    """The share of scores obtained for a document, with the document's judgements.

    lm_eval hands the values of a metric to its aggregation, gathered over all its processes: this
    is how the figures over all documents are computed once, from all of them.

    Attributes:
        document: The document.
    """

    document: JudgedDocument

    @staticmethod
    def of(document: JudgedDocument) -> Coverage:
        """Count the scores of a document."""
        scores = [score for each in document.judged for score in each.scores.values()]
        coverage = Coverage(sum(score.score is not None for score in scores) / len(scores))
        coverage.document = document
        return coverage


class JudgedResponses(list[str]):
    """The judgements of the responses to one document, as lm_eval's filtered responses.

    Its items are JSON text, since lm_eval's log writes anything else in ways that depend on the
    model.

    Attributes:
        document: The judgements.
        metric_names: The metrics that are reported of them.
    """

    def __init__(
        self,
        requests: Sequence[JudgeRequest],
        judged: Sequence[Judgement],
        reference: Sequence[Judgement] | None,
        metric_names: Sequence[str],
    ) -> None:
        first = requests[0]
        super().__init__(
            _entry(request, judgement) for request, judgement in zip(requests, judged, strict=True)
        )
        self.metric_names = metric_names
        self.document = JudgedDocument(
            first.id or first.question, first.question, judged, reference
        )


class JudgedText(str):
    """The same as one text, for a run that W&B logs: its tables take one type a column.

    Attributes:
        responses: The judgements.
    """

    responses: JudgedResponses

    @staticmethod
    def of(responses: JudgedResponses) -> JudgedText:
        """Join the judgements: as they are if there is one, as a JSON list if there are several."""
        text = responses[0] if len(responses) == 1 else f"[{', '.join(responses)}]"
        made = JudgedText(text)
        made.responses = responses
        return made

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # W&B asks for the exact class
        return str

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return (str, (str.__str__(self),))


def as_logged(responses: JudgedResponses) -> JudgedResponses | JudgedText:
    """Choose the form that the loggers of this run can take."""
    wandb = sys.modules.get("wandb")
    is_logged = wandb is not None and getattr(wandb, "run", None) is not None
    return JudgedText.of(responses) if is_logged else responses


def judged_responses(filtered: object) -> JudgedResponses | None:
    """Return the judgements that lm_eval hands back; None for what its own filters made."""
    if type(filtered) is JudgedText:
        return filtered.responses
    return filtered if isinstance(filtered, JudgedResponses) else None


def _entry(request: JudgeRequest, judgement: Judgement) -> str:
    origin = {"id": request.id, "dataset": request.dataset, "question": request.question}
    known = {name: value for name, value in origin.items() if value is not None}
    return json.dumps({**known, **judgement.to_json()}, ensure_ascii=False)
