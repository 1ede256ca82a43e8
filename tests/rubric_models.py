"""Models of which tests know what they say: a judge of items, a meta-judge, and a generator."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chat_server import Answer

from inspector_plugin.data.labelled import LabelledProblem
from inspector_plugin.data.problems import problem_identity
from inspector_plugin.judging.judge import Judge
from inspector_plugin.schema import CriterionScore, Judgement, JudgeRequest
from inspector_plugin.schema.rubric_scores import rubric_score
from inspector_plugin.schema.rubrics import ItemVerdict

TRAIT = re.compile(r"trait (\w+)")


class TraitJudge(Judge):
    """Says that an item on "trait x" holds where the response has the word x.

    Attributes:
        asked: How often each item was judged, by its text.
    """

    scale = None
    rubric_form = "traits"

    def __init__(self, unread: str | None = None) -> None:
        self.asked: Counter[str] = Counter()
        self._unread = unread

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        return [
            Judgement({each.key: self._score(each, request.response) for each in request.criteria})
            for request in requests
        ]

    def _score(self, criterion: Any, response: str) -> CriterionScore:
        verdicts = {}
        for item in criterion.items:
            self.asked[item.text] += 1
            [trait] = TRAIT.findall(item.text)
            held = float(trait in response.split())
            verdicts[item.key] = (
                ItemVerdict(None, "unreadable") if trait == self._unread else ItemVerdict(held)
            )
        return rubric_score(criterion, verdicts)

    def describe(self) -> Mapping[str, Any]:
        return {"judge": "traits"}


class MetaJudge(Judge):
    """Rates a rubric by a function of its text, and prefers the response that has a word.

    Attributes:
        rated: The rubrics rated.
        compared: How many comparisons were asked for.
    """

    scale = None

    def __init__(self, rate: Callable[[str], int] = lambda text: 3, word: str = "good") -> None:
        self.rated: list[str] = []
        self.compared = 0
        self._rate, self._word = rate, word

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        return [self._judged(request) for request in requests]

    def _judged(self, request: JudgeRequest) -> Judgement:
        if request.keys == ("preference",):
            self.compared += 1
            first, second = re.findall(r"\[begin.*?\]\n(.*?)\n\[end", request.response, re.DOTALL)
            label = 1 if self._word in first.split() or self._word not in second.split() else 2
            return Judgement({"preference": CriterionScore(float(label), label)})
        self.rated.append(request.response)
        label = self._rate(request.response)
        return Judgement({key: CriterionScore(float(label), label) for key in request.keys})


def item(text: str, kind: str = "rule", weight: int = 1) -> dict[str, Any]:
    return {"text": text, "kind": kind, "weight": weight}


def trait(name: str, kind: str = "rule") -> dict[str, Any]:
    """An item that `TraitJudge` understands; no two are alike in words."""
    return item(f"{name.capitalize()} {name}ly {name}wise: trait {name}", kind)


def items_reply(*items: Mapping[str, Any]) -> Answer:
    return Answer(json.dumps({"items": list(items)}))


def problem(
    number: int, responses: Sequence[str], labels: Sequence[float | None] | None = None
) -> LabelledProblem:
    question = f"How many jars are on shelf {number}?"
    return LabelledProblem(
        problem_identity(question),
        str(number),
        question,
        tuple(responses),
        tuple(labels or [None] * len(responses)),
    )


def said(body: Mapping[str, Any]) -> str:
    """All that a call says."""
    return "\n".join(message["content"] for message in body["messages"])
