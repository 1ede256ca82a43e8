"""The contract suite finds each broken clause, and the scripted judge does what it is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count

import pytest

from inspector_plugin.errors import JudgeError
from inspector_plugin.schema import (
    BINARY,
    AspectScore,
    Judgement,
    JudgeRequest,
    Scale,
    unscored,
)
from inspector_plugin.testing import ScriptedJudge, check_judge

Judged = list[Judgement]
EVEN = dict.fromkeys(range(1, 6), 0.2)


def by_length(request: JudgeRequest, aspect: str) -> float:
    return min(1 + len(request.response) / 20, 5)


class Twisted(ScriptedJudge):
    """Keeps the contract, but for one twist to what it returns."""

    def __init__(self, twist: Callable[[Sequence[JudgeRequest], Judged], Judged]) -> None:
        super().__init__(by_length)
        self._twist = twist

    def judge(self, requests: Sequence[JudgeRequest]) -> Judged:
        return self._twist(requests, super().judge(requests))


def each(change: Callable[[AspectScore], AspectScore]) -> Twisted:
    return Twisted(
        lambda requests, judged: [
            Judgement({key: change(score) for key, score in judgement.aspects.items()})
            for judgement in judged
        ]
    )


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
    return ScriptedJudge(lambda request, aspect: 2 + next(numbers) / 1000)


ONE = Judgement({"fluency": AspectScore(1.0, 1)})
BROKEN = {
    "scale: labels ascend": lambda: ScriptedJudge(by_length, Scale((5, 4, 3, 2, 1))),
    "length: one judgement for each request; got 1 for 0": lambda: Twisted(
        lambda requests, judged: judged or [ONE]
    ),
    "type: judge() returns a list": lambda: Twisted(lambda requests, judged: tuple(judged)),
    "length: one judgement for each request; got 1 for 4": lambda: Twisted(
        lambda requests, judged: judged[:1]
    ),
    "type: each is a Judgement": lambda: Twisted(
        lambda requests, judged: [judgement.aspects for judgement in judged]
    ),
    "aspects: those asked for": lambda: Twisted(
        lambda requests, judged: [
            Judgement({**judgement.aspects, "factuality": AspectScore(1.0, 1)})
            for judgement in judged
        ]
    ),
    "range: the score lies": lambda: each(lambda score: AspectScore(5.5, 5)),
    "label: one of the scale": lambda: each(lambda score: AspectScore(score.score, 6)),
    "probabilities: one for each label": lambda: each(
        lambda score: AspectScore(score.score, 1, {1: 1.0})
    ),
    "probabilities: each in [0, 1]": lambda: each(
        lambda score: AspectScore(score.score, 1, EVEN | {1: -0.2, 2: 0.6})
    ),
    "probabilities: sum to 1": lambda: each(
        lambda score: AspectScore(score.score, 1, EVEN | {5: 0.3})
    ),
    "unscored: without score": lambda: each(
        lambda score: AspectScore(None, 3, reason="the label alone")
    ),
    "determinism:": with_jitter,
    "order:": lambda: Twisted(
        lambda requests, judged: sorted(
            judged, key=lambda j: j.aspects["fluency"].score, reverse=True
        )
    ),
    "batch:": lambda: Twisted(
        lambda requests, judged: (
            judged
            if len(requests) != 1
            else [Judgement(dict.fromkeys(requests[0].aspects, AspectScore(1.0, 1)))]
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
        ScriptedJudge(lambda request, aspect: len(request.response) % 2, BINARY),
        ScriptedJudge(lambda request, aspect: None),
        each(lambda score: AspectScore(3.0, 3, EVEN)),
    ],
)
def test_judges_that_keep_the_contract(judge: ScriptedJudge) -> None:
    check_judge(judge)
    assert judge.closed


def test_scripted_answers_and_history() -> None:
    flagged = AspectScore(2.0, 2, flags=("truncated",))
    judge = ScriptedJudge([4.4, None, "too odd", flagged])
    requests = [JudgeRequest("q", "r", ("logicality", "fluency")), JudgeRequest("q", "s")]
    [judgement] = judge.judge(requests[:1])
    assert judgement.aspects == {
        "logicality": AspectScore(4.4, 4),
        "fluency": unscored("the script gives no score"),
    }
    [judgement] = judge.judge([JudgeRequest("q", "r", ("logicality", "fluency"))])
    assert list(judgement.aspects.values()) == [unscored("too odd"), flagged]
    assert [len(call) for call in judge.calls] == [1, 1]


def test_scripted_failure() -> None:
    judge = ScriptedJudge(by_length, fail_at_call=2)
    judge.judge([])
    with pytest.raises(JudgeError, match="fails at call 2"):
        judge.judge([])
    assert judge.judge([]) == []
