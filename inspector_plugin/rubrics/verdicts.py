"""Verdicts of a judge on items, over many responses: each item is judged once, whatever changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inspector_plugin.data.labelled import LabelledProblem
from inspector_plugin.errors import JudgeError
from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.run import judge_all
from inspector_plugin.schema.criteria import RUBRIC, Criterion
from inspector_plugin.schema.records import JudgeRequest, total_usage
from inspector_plugin.schema.rubrics import RubricItem
from inspector_plugin.schema.usage import Usage

Floats = NDArray[np.float64]
_MOST_UNREAD = 0.5
# The answers to more items might not fit into one reply.
_ITEMS_AT_ONCE = 24
# Verdicts take long on a CPU: progress shows, and the cache keeps, so many responses at a time.
RESPONSES_AT_ONCE = 16


@dataclass(frozen=True)
class Row:
    """One response to one problem.

    Attributes:
        problem: The problem.
        place: The position of the response among the problem's.
    """

    problem: LabelledProblem
    place: int

    @property
    def response(self) -> str:
        """The response."""
        return self.problem.responses[self.place]

    @property
    def label(self) -> float:
        """How good it is; NaN where that is not known."""
        label = self.problem.labels[self.place]
        return np.nan if label is None else label


def rows_of(problems: Sequence[LabelledProblem]) -> list[Row]:
    """List the responses to problems that can be judged."""
    return [
        Row(problem, place)
        for problem in problems
        for place, response in enumerate(problem.responses)
        if response.strip() and problem.question.strip()
    ]


class VerdictTable:
    """What a judge says of responses on items, looked up if it has been asked before.

    Items are judged with one weight, so that other weights ask for no other judgements.

    Attributes:
        rows: The responses.
        usage: What judging has cost so far; None if the judge does not count.
    """

    def __init__(
        self, judge: Judge, rows: Sequence[Row], cache: JudgeCache | None, name: str = "judge"
    ) -> None:
        """Take the judge and what to judge.

        Args:
            judge: A judge that executes rubrics.
            rows: The responses.
            cache: Where judgements are kept.
            name: What messages call the judge.
        """
        self.rows = list(rows)
        self.usage: Usage | None = None
        self._judge = judge
        self._cache = cache
        self._name = name
        self._columns: dict[tuple[str, bool], Floats] = {}

    def values(self, items: Sequence[RubricItem]) -> Floats:
        """Say how well each response does by each item, judging those that are new.

        Args:
            items: The items.

        Returns:
            From 0 to 1, [responses, items]; for a pitfall 1 means that it is not there. NaN where
            a verdict could not be read.

        Raises:
            JudgeError: If more than half of the verdicts cannot be read.
        """
        new = list(
            {_name(item): item for item in items if _name(item) not in self._columns}.values()
        )
        for start in range(0, len(new), _ITEMS_AT_ONCE):
            self._judge_items(new[start : start + _ITEMS_AT_ONCE])
        columns = [self._columns[_name(item)] for item in items]
        return np.stack(columns, axis=1) if columns else np.empty((len(self.rows), 0))

    def _judge_items(self, items: Sequence[RubricItem]) -> None:
        asked = [replace(item, key=f"item_{n}", weight=1.0) for n, item in enumerate(items, 1)]
        criterion = Criterion(RUBRIC, "Rubric", items=tuple(asked))
        requests = [
            JudgeRequest(
                row.problem.question,
                row.response,
                (criterion,),
                dataset=row.problem.dataset,
                id=row.problem.id,
            )
            for row in self.rows
        ]
        judged = judge_all(
            self._judge,
            requests,
            name=self._name,
            cache=self._cache,
            chunk_size=RESPONSES_AT_ONCE,
        )
        spent = total_usage(judged)
        if spent is not None:
            self.usage = spent + (self.usage or Usage())
        values = np.full((len(self.rows), len(asked)), np.nan)
        reasons: Counter[str] = Counter()
        for number, judgement in enumerate(judged):
            score = judgement.scores[criterion.key]
            for place, item in enumerate(asked):
                verdict = (score.items or {}).get(item.key)
                if verdict is None or verdict.value is None:
                    reasons[str(score.reason if verdict is None else verdict.reason)] += 1
                else:
                    value = verdict.value
                    values[number, place] = 1 - value if item.is_pitfall else value
        if values.size and np.isnan(values).mean() > _MOST_UNREAD:
            reason, count = reasons.most_common(1)[0]
            raise JudgeError(
                f"Judge {self._name!r} gave no verdict on {sum(reasons.values())} of {values.size} "
                f"items (mostly, {count} times: {reason}); use another judge."
            )
        for place, item in enumerate(items):
            self._columns[_name(item)] = values[:, place]


def _name(item: RubricItem) -> tuple[str, bool]:
    """What makes an item another question to the judge."""
    return item.text, item.is_pitfall
