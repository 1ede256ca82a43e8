"""The contract suite finds each broken clause, and the scripted judge does what it is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count

import pytest

from inspector_plugin.errors import JudgeError
from inspector_plugin.schema import (
    BINARY,
    Criterion,
    CriterionScore,
    Judgement,
    JudgeRequest,
    Scale,
    unscored,
)
from inspector_plugin.testing import OTHER_CRITERIA, ScriptedJudge, check_judge

Judged = list[Judgement]
EVEN = dict.fromkeys(range(1, 6), 0.2)


def by_length(request: JudgeRequest, key: str) -> float:
    return min(1 + len(request.response) / 20, 5)


class Twisted(ScriptedJudge):
    """Keeps the contract, but for one twist to what it returns."""

    def __init__(self, twist: Callable[[Sequence[JudgeRequest], Judged], Judged]) -> None:
        super().__init__(by_length)
        self._twist = twist

    def judge(self, requests: Sequence[JudgeRequest]) -> Judged:
        return self._twist(requests, super().judge(requests))


def each(change: Callable[[CriterionScore], CriterionScore]) -> Twisted:
    return Twisted(
        lambda requests, judged: [
            Judgement({key: change(score) for key, score in judgement.scores.items()})
            for judgement in judged
        ]
    )


class Choosy(ScriptedJudge):
    """Says what it cannot judge."""

    def __init__(self, reason: Callable[[Criterion], str | None]) -> None:
        super().__init__(own_scale, None)
        self._reason = reason

    def cannot_judge(self, criterion: Criterion, dataset: str | None) -> str | None:
        return self._reason(criterion)


def own_scale(request: JudgeRequest, key: str) -> float:
    """Score `OTHER_CRITERIA`, on 1-7 and 0-1, as well as those on 1-5."""
    return len(request.response) % 2 if key == "answered" else by_length(request, key)


def no_close() -> ScriptedJudge:
    judge = ScriptedJudge(by_length)
    judge.close = iter([None]).__next__  # the second call raises StopIteration
    return judge


def bad_description() -> ScriptedJudge:
    judge = ScriptedJudge(by_length)
    judge.describe = lambda: {"model": object()}
    return judge


def raise_on_control_characters(requests: Sequence[JudgeRequest], judged: Judged) -> Judged:
    if any("\x00" in request.response for request in requests):
        raise ValueError("embedded null byte")
    return judged


def with_jitter() -> ScriptedJudge:
    numbers = count()
    return ScriptedJudge(lambda request, key: 2 + next(numbers) / 1000)


ONE = Judgement({"fluency": CriterionScore(1.0, 1)})
BROKEN = {
    "scale: a Scale or None; got (1, 2, 3, 4, 5)": lambda: ScriptedJudge(
        by_length, (1, 2, 3, 4, 5)
    ),
    "scale: that of the criterion, or 0-1; got 1-3": lambda: each(
        lambda score: replace(score, scale=Scale((1, 2, 3)))
    ),
    "cannot_judge: returns a reason or None; got KeyError": lambda: Choosy({}.__getitem__),
    "cannot_judge: returns a reason or None; got 7": lambda: Choosy(lambda criterion: 7),
    "cannot_judge: returns a reason or None; got  ": lambda: Choosy(lambda criterion: " "),
    "length: one judgement for each request; got 1 for 0": lambda: Twisted(
        lambda requests, judged: judged or [ONE]
    ),
    "type: judge() returns a list": lambda: Twisted(lambda requests, judged: tuple(judged)),
    "length: one judgement for each request; got 1 for 5": lambda: Twisted(
        lambda requests, judged: judged[:1]
    ),
    "type: each is a Judgement": lambda: Twisted(
        lambda requests, judged: [judgement.scores for judgement in judged]
    ),
    "criteria: those asked for": lambda: Twisted(
        lambda requests, judged: [
            Judgement({**judgement.scores, "factuality": CriterionScore(1.0, 1)})
            for judgement in judged
        ]
    ),
    "range: the score lies": lambda: each(lambda score: CriterionScore(5.5, 5)),
    "label: one of the scale": lambda: each(lambda score: CriterionScore(score.score, 6)),
    "probabilities: one for each label": lambda: each(
        lambda score: CriterionScore(score.score, 1, {1: 1.0})
    ),
    "probabilities: each in [0, 1]": lambda: each(
        lambda score: CriterionScore(score.score, 1, EVEN | {1: -0.2, 2: 0.6})
    ),
    "probabilities: sum to 1": lambda: each(
        lambda score: CriterionScore(score.score, 1, EVEN | {5: 0.3})
    ),
    "unscored: without score": lambda: each(
        lambda score: CriterionScore(None, 3, reason="the label alone")
    ),
    "determinism:": with_jitter,
    "order:": lambda: Twisted(
        lambda requests, judged: sorted(
            judged, key=lambda j: j.scores["fluency"].score, reverse=True
        )
    ),
    "batch:": lambda: Twisted(
        lambda requests, judged: (
            judged
            if len(requests) != 1
            else [Judgement(dict.fromkeys(requests[0].keys, CriterionScore(1.0, 1)))]
        )
    ),
    "no exceptions:": lambda: Twisted(raise_on_control_characters),
    "describe:": bad_description,
    "close:": no_close,
}
SAME_ASPECTS = [JudgeRequest("q", "word " * n, ("fluency",)) for n in (9, 5, 1)]


@pytest.mark.parametrize("clause", BROKEN)
def test_a_broken_clause_is_named(clause: str) -> None:
    with pytest.raises(AssertionError) as error:
        check_judge(BROKEN[clause](), *([SAME_ASPECTS] if clause == "order:" else []))
    assert str(error.value).startswith(clause)


@pytest.mark.parametrize(
    "judge",
    [
        ScriptedJudge(by_length),
        ScriptedJudge(lambda request, key: len(request.response) % 2, BINARY),
        ScriptedJudge(lambda request, key: None),
        ScriptedJudge(own_scale, None),
        Choosy(lambda criterion: "not made for it" if criterion in OTHER_CRITERIA else None),
        each(lambda score: CriterionScore(3.0, 3, EVEN)),
    ],
)
def test_judges_that_keep_the_contract(judge: ScriptedJudge) -> None:
    check_judge(judge)
    assert judge.closed


def test_criteria_on_other_scales_are_tried() -> None:
    judge = ScriptedJudge(own_scale, None)
    check_judge(judge)
    tried = {key for call in judge.calls for request in call for key in request.keys}
    assert {"care", "answered"} <= tried
    with pytest.raises(AssertionError, match="range: the score lies on the scale; got 1"):
        check_judge(ScriptedJudge(lambda request, key: 1.45, None))


def test_scripted_answers_and_history() -> None:
    flagged = CriterionScore(2.0, 2, flags=("truncated",))
    judge = ScriptedJudge([4.4, None, "too odd", flagged])
    requests = [JudgeRequest("q", "r", ("logicality", "fluency")), JudgeRequest("q", "s")]
    [judgement] = judge.judge(requests[:1])
    assert judgement.scores == {
        "logicality": CriterionScore(4.4, 4),
        "fluency": unscored("the script gives no score"),
    }
    [judgement] = judge.judge([JudgeRequest("q", "r", ("logicality", "fluency"))])
    assert list(judgement.scores.values()) == [unscored("too odd"), flagged]
    assert [len(call) for call in judge.calls] == [1, 1]


def test_scripted_failure() -> None:
    judge = ScriptedJudge(by_length, fail_at_call=2)
    judge.judge([])
    with pytest.raises(JudgeError, match="fails at call 2"):
        judge.judge([])
    assert judge.judge([]) == []
