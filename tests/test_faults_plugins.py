"""Judges of third parties that return what cannot even be looked at: an error in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from inspector_plugin.errors import JudgeError
from inspector_plugin.judging.judge import Judge, StreamingJudge
from inspector_plugin.judging.run import judge_all
from inspector_plugin.schema import CriterionScore, Judgement, JudgeRequest, parse_criteria

FLUENCY = parse_criteria("fluency")
REQUESTS = [JudgeRequest(f"q{n}", f"r{n}", FLUENCY) for n in range(3)]
THIRD_PARTY = "third_party.judges"


class Shy:
    """Cannot be shown."""

    def __repr__(self) -> str:
        raise ValueError("no")


class ShyError(Exception):
    """Has no message that can be read."""

    def __str__(self) -> str:
        raise RuntimeError("no")


def judged(*values: Any, **fields: Any) -> Judgement:
    return Judgement({"fluency": CriterionScore(*(values or (3.0, 3)), **fields)})


class Batch(Judge):
    """Returns whatever it is told to."""

    def __init__(self, judge: Callable[[Sequence[JudgeRequest]], Any]) -> None:
        self._judge = judge

    def judge(self, requests: Sequence[JudgeRequest]) -> Any:
        return self._judge(requests)


class Stream(StreamingJudge):
    """Hands over whatever it is told to."""

    def __init__(self, judge: Callable[[Sequence[JudgeRequest]], Any]) -> None:
        self._judge = judge

    def judge_each(self, requests: Sequence[JudgeRequest]) -> Any:
        return self._judge(requests)


Batch.__module__ = Stream.__module__ = THIRD_PARTY


def refused(judge: Judge) -> str:
    with pytest.raises(JudgeError) as caught:
        judge_all(judge, REQUESTS, name="theirs", progress=False)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("Judge 'theirs' ")
    assert message.endswith("; this is a bug in the judge.")
    return message


def of_itself() -> Judgement:
    members: dict[str, CriterionScore] = {}
    score = CriterionScore(3.0, 3, members=members)
    members["again"] = score
    return Judgement({"fluency": score})


@pytest.mark.parametrize(
    "answer",
    [
        lambda: judged(3.0, Shy()),
        lambda: judged(probabilities={"a": 1.0, 2: 0.0}),
        lambda: judged(probabilities={1: Shy(), 2: 0, 3: 0, 4: 0, 5: 0}),
        lambda: judged(items={Shy(): 1}),
        of_itself,
    ],
    ids=["label", "mixed labels", "probability", "item", "member of itself"],
)
def test_a_judgement_that_cannot_be_checked(answer: Callable[[], Judgement]) -> None:
    said = refused(Batch(lambda requests: [answer() for _ in requests]))
    assert "cannot be checked" in said or "scored fluency with" in said


@pytest.mark.parametrize("judge", [Batch, Stream])
def test_an_exception_that_cannot_be_read(judge: Any) -> None:
    def failing(requests: Sequence[JudgeRequest]) -> Any:
        raise ShyError

    assert "(): ShyError: a ShyError; " in refused(judge(failing))


def pairs(requests: Sequence[JudgeRequest]) -> list[tuple[int, Judgement]]:
    return [(place, judged()) for place in range(len(requests))]


@pytest.mark.parametrize(
    "stream",
    [
        lambda requests: [pairs(requests)],
        lambda requests: iter([pairs(requests)]),
        lambda requests: map(list, [pairs(requests)[:1], pairs(requests)[1:]]),
    ],
    ids=["list", "iterator", "map"],
)
def test_judgements_come_in_any_iterable(stream: Any) -> None:
    answers = judge_all(Stream(stream), REQUESTS, progress=False)
    assert [each.scores["fluency"].score for each in answers] == [3.0, 3.0, 3.0]


@pytest.mark.parametrize("stream", [None, 5, [None], [pairs(REQUESTS)[:1]], [[(Shy(), judged())]]])
def test_a_stream_that_is_none(stream: Any) -> None:
    refused(Stream(lambda requests: stream))


def test_a_generator_is_closed() -> None:
    closed = []

    def stream(requests: Sequence[JudgeRequest]) -> Iterator[Any]:
        try:
            yield pairs(requests)[:1] * 2
        finally:
            closed.append(True)

    assert "judged position 0 twice" in refused(Stream(stream))
    assert closed == [True]


@pytest.mark.parametrize("strange", [None, 5, ["r"]])
def test_what_is_no_text_costs_its_own_scores_only(strange: Any) -> None:
    requests = [REQUESTS[0], JudgeRequest("q", strange, FLUENCY)]
    answers = judge_all(Batch(lambda asked: [judged() for _ in asked]), requests, progress=False)
    assert answers[0].scores["fluency"].score == 3.0
    kind = type(strange).__name__
    assert answers[1].scores["fluency"].reason == f"the response is not text but of type {kind}"
