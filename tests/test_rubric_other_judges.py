"""Verdicts of other judges on the items of a rubric: none, malformed, and rounded."""

from __future__ import annotations

from typing import Any

import pytest
from rubric_items import REQUEST, RUBRIC

from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.run import judge_all
from inspector_plugin.judging.validate import completed
from inspector_plugin.schema import Criterion, CriterionScore, ItemVerdict, Judgement, JudgeRequest


class Oblivious(Judge):
    """A judge of before there were items."""

    scale = None

    def judge(self, requests: Any) -> list[Judgement]:
        return [Judgement({key: CriterionScore(3.0, 3) for key in r.keys}) for r in requests]


def test_a_judge_that_knows_nothing_of_items_is_not_asked() -> None:
    plain = Criterion("care", "", "It is careful.")
    request = JudgeRequest("q", "r", (plain, RUBRIC))
    judged = judge_all(Oblivious(), [request])[0].scores
    assert judged["care"].score == 3
    assert judged["rubric"].reason == "this judge does not execute the items of a rubric"


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ({"else": ItemVerdict(1.0)}, "items 'else', which the rubric does not have"),
        ({"shown": 1.0}, "items a float, not an ItemVerdict"),
        (3, "items a int, not verdicts by key"),
    ],
)
def test_verdicts_of_other_items_are_a_bug_of_the_judge(items: Any, message: str) -> None:
    class Odd(Oblivious):
        rubric_form = "odd"

        def judge(self, requests: Any) -> list[Judgement]:
            return [Judgement({"rubric": CriterionScore(3.0, 3, items=items)}) for _ in requests]

    with pytest.raises(Exception, match=message):
        judge_all(Odd(), [REQUEST])


def test_verdicts_are_rounded_as_scores_are() -> None:
    class Long(Oblivious):
        rubric_form = "long"

    score = CriterionScore(3.0, 3, items={"slip": ItemVerdict(1 / 3), "shown": ItemVerdict(1.0)})
    whole = completed(Long(), REQUEST, Judgement({"rubric": score}), "long").scores["rubric"]
    assert whole.items == {"shown": ItemVerdict(1.0), "slip": ItemVerdict(0.3333)}
