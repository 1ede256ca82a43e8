"""The one pipeline from requests to judgements."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from inspector_plugin.errors import JudgeError
from inspector_plugin.judging.judge import JudgementGroups, StreamingJudge
from inspector_plugin.judging.run import cannot_judge, judge_all
from inspector_plugin.schema import (
    BINARY,
    MULTICLASS,
    ROSCOE,
    Criterion,
    CriterionScore,
    Judgement,
    JudgeRequest,
    Scale,
    Usage,
    unscored,
)
from inspector_plugin.testing import ScriptedJudge

KEYS = ("logicality", "fluency")
SEVEN = Scale((1, 2, 3, 4, 5, 6, 7))
CARE = Criterion("care", definition="It checks its steps.", scale=SEVEN)
ANSWERED = Criterion("answered", definition="It gives an answer.", scale=BINARY)


def requests(*responses: str) -> list[JudgeRequest]:
    return [JudgeRequest("q", response, KEYS) for response in responses]


def by_length(request: JudgeRequest, key: str) -> float:
    return float(len(request.response))


class Answering(ScriptedJudge):
    """A judge that gives every request the same judgement, on whatever criteria."""

    def __init__(self, answers: list[Judgement], scale: Scale | None = MULTICLASS) -> None:
        super().__init__([], scale)
        self._answers = answers

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        return self._answers

    def cannot_judge(self, criterion: Criterion, dataset: str | None) -> str | None:
        return None


class FluencyOfGsm8k(ScriptedJudge):
    """A judge that can judge one criterion on one data set."""

    def cannot_judge(self, criterion: Criterion, dataset: str | None) -> str | None:
        if criterion.key != "fluency":
            return "no probe for it"
        return None if dataset == "gsm8k" else f"no probe for {dataset}"


def test_chunks_in_order_and_handed_on_as_they_are_done() -> None:
    judge, handed = ScriptedJudge(by_length), []
    judged = judge_all(
        judge,
        requests("a", "aa", "aaa", "aaaa", "aaaaa"),
        chunk_size=2,
        on_judged=lambda start, chunk: handed.append((start, len(chunk), len(judge.calls))),
    )
    assert [judgement.scores["fluency"].score for judgement in judged] == [1, 2, 3, 4, 5]
    assert [len(call) for call in judge.calls] == [2, 2, 1]
    assert handed == [(0, 2, 1), (2, 2, 2), (4, 1, 3)]


def test_nothing_to_judge_never_reaches_the_judge() -> None:
    judge = ScriptedJudge(by_length, None)
    broken = Criterion("care", definition="It checks \ud800 its steps.")
    asked = [
        *requests(" \n", "aa", "an unpaired surrogate \ud800"),
        JudgeRequest("", "text", KEYS),
        JudgeRequest("q", "text", (ROSCOE[1], broken)),
    ]
    judged = judge_all(judge, asked)
    assert [judgement.scores["logicality"].reason for judgement in judged] == [
        "the response is empty",
        None,
        "the text is not valid Unicode",
        "the question is empty",
        "the text is not valid Unicode",
    ]
    assert judge.calls == [[asked[1]]]
    assert judge_all(judge, []) == []


def test_what_the_judge_cannot_judge_never_reaches_it() -> None:
    judge = FluencyOfGsm8k(by_length)
    asked = [
        JudgeRequest("q", "aaa", KEYS, dataset="gsm8k", id="1"),
        JudgeRequest("q", "aaa", KEYS, dataset="mine", id="2"),
        JudgeRequest("q", "aa", ("logicality",), dataset="gsm8k", id="3"),
    ]
    judged = judge_all(judge, asked)
    assert [{key: s.score or s.reason for key, s in j.scores.items()} for j in judged] == [
        {"logicality": "no probe for it", "fluency": 3.0},
        {"logicality": "no probe for it", "fluency": "no probe for mine"},
        {"logicality": "no probe for it"},
    ]
    assert [tuple(judgement.scores) for judgement in judged[:2]] == [KEYS, KEYS]
    assert judge.calls == [[replace(asked[0], criteria=(ROSCOE[3],))]]
    assert judged[2].scores["logicality"].fingerprint == ROSCOE[1].fingerprint
    pairs = Counter((each, request.dataset) for request in asked for each in request.criteria)
    assert cannot_judge(judge, pairs) == Counter({"no probe for it": 3, "no probe for mine": 1})


def test_a_judge_on_1_5_leaves_other_scales_unscored() -> None:
    judge = ScriptedJudge(by_length)
    [judgement] = judge_all(judge, [JudgeRequest("q", "aaa", ("fluency", CARE, ANSWERED))])
    assert [score.reason for score in judgement.scores.values()] == [
        None,
        "this judge scores on 1-5, not on 1-7",
        "this judge scores on 1-5, not on 0-1",
    ]


def test_criteria_come_in_the_order_of_the_request() -> None:
    class Backwards(ScriptedJudge):
        def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
            return [
                Judgement(dict(reversed(judgement.scores.items())))
                for judgement in super().judge(requests)
            ]

    [judgement] = judge_all(Backwards(by_length), requests("aa"))
    assert tuple(judgement.scores) == KEYS


ONE = CriterionScore(1.0, 1)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([], "returned 0 judgements for 1 request;"),
        ([Judgement({"fluency": ONE})], r"judged \['fluency'\]"),
        ([Judgement(dict.fromkeys((*KEYS, "factuality"), ONE))], "factuality"),
        ([Judgement(dict.fromkeys(KEYS, CriterionScore(3.0, 3)))], "3.0, outside its scale 0-1"),
        ([Judgement(dict.fromkeys(KEYS, CriterionScore(1.0, 2)))], r"label 2, not one of \(0, 1\)"),
        ([Judgement(dict.fromkeys(KEYS, CriterionScore(1.0)))], "label None, not one of"),
        (
            [Judgement(dict.fromkeys(KEYS, CriterionScore(1.0, 1, scale=SEVEN)))],
            "scored logicality with scale 1-7, and its criterion is on 1-5",
        ),
        (
            [Judgement(dict.fromkeys(KEYS, replace(unscored("no"), scale=Scale((0, 1, 2)))))],
            "scored logicality with scale 0-2, and its criterion is on 1-5",
        ),
    ],
)
def test_a_judge_that_breaks_its_contract_is_named(answers: list[Judgement], message: str) -> None:
    with pytest.raises(JudgeError, match=f"Judge 'broken'.*{message}.*this is a bug in the judge"):
        judge_all(Answering(answers, BINARY), requests("a"), name="broken")


def test_a_judge_that_promises_a_scale_it_does_not_have_is_named() -> None:
    judge = Answering([Judgement({"care": ONE})])
    with pytest.raises(JudgeError, match="scored care with scale 1-5, and its criterion is on 1-7"):
        judge_all(judge, [JudgeRequest("q", "a", (CARE,))])


def test_scale_and_fingerprint_are_written_into_every_score() -> None:
    asked = [JudgeRequest("q", "a", ("fluency", CARE, ANSWERED))]
    script: Callable[[JudgeRequest, str], CriterionScore] = lambda request, key: {  # noqa: E731
        "fluency": CriterionScore(1.0, 1, scale=BINARY),
        "care": CriterionScore(6.0, 6),
        "answered": unscored("no"),
    }[key]
    [judgement] = judge_all(ScriptedJudge(script, None), asked)
    fingerprints = [criterion.fingerprint for criterion in asked[0].criteria]
    assert [score.scale for score in judgement.scores.values()] == [BINARY, SEVEN, BINARY]
    assert [score.fingerprint for score in judgement.scores.values()] == fingerprints
    [binary] = judge_all(ScriptedJudge(lambda request, key: 1.0, BINARY), asked)
    assert {score.scale for score in binary.scores.values()} == {BINARY}
    assert [score.fingerprint for score in binary.scores.values()] == fingerprints


def test_scores_and_probabilities_have_four_digits() -> None:
    probabilities = dict(zip(MULTICLASS.labels, (1 / 3, 0, 1 / 6, 0.00004, 0.49996), strict=True))
    score = CriterionScore(10 / 3, 5, probabilities, flags=("truncated",))
    [judgement] = judge_all(ScriptedJudge(lambda request, key: score), requests("a"))
    assert judgement.scores["fluency"] == CriterionScore(
        3.3333,
        5,
        {1: 0.3333, 2: 0.0, 3: 0.1667, 4: 0.0, 5: 0.5},
        flags=("truncated",),
        scale=MULTICLASS,
        fingerprint=ROSCOE[3].fingerprint,
    )
    assert judgement.total == 6.6666


@pytest.mark.parametrize(
    ("criteria", "total"),
    [((*KEYS,), 4.0), ((CARE,), 2.0), (("fluency", CARE), None)],
)
def test_there_is_a_total_only_on_one_common_scale(
    criteria: tuple[str | Criterion, ...], total: float | None
) -> None:
    judge = ScriptedJudge(by_length, None)
    [judgement] = judge_all(judge, [JudgeRequest("q", "aa", criteria)])
    assert judgement.total == total


class Streaming(StreamingJudge):
    """Hands over one judgement at a time, the last request first."""

    def __init__(self, independent: bool) -> None:
        self.independent_criteria = independent
        self.asked: list[tuple[str, ...]] = []

    def judge_each(self, requests: Sequence[JudgeRequest]) -> JudgementGroups:
        self.asked += [request.keys for request in requests]
        for place in reversed(range(len(requests))):
            scores = {key: CriterionScore(2.0, 2) for key in requests[place].keys}
            yield [(place, Judgement(scores, Usage(calls=1)))]


@pytest.mark.parametrize(
    ("independent", "asked", "calls"),
    [(False, [KEYS, KEYS], 1), (True, [(key,) for key in KEYS * 2], 2)],
)
def test_criteria_judged_apart_are_put_together_again(
    independent: bool, asked: list[tuple[str, ...]], calls: int
) -> None:
    judge = Streaming(independent)
    handed: list[int] = []
    judged = judge_all(
        judge, requests("a", "b"), on_judged=lambda start, chunk: handed.append(len(chunk))
    )
    assert judge.asked == asked
    assert [tuple(judgement.scores) for judgement in judged] == [KEYS, KEYS]
    assert [judgement.usage for judgement in judged] == [Usage(calls=calls)] * 2
    assert handed == [2]  # the first request came last


def test_progress_only_where_wanted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    judge_all(ScriptedJudge(by_length), requests("a"), progress=True, name="mine")
    assert capsys.readouterr().err == ""  # piped, and quick
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    judge_all(ScriptedJudge(by_length), requests("a"), progress=False, name="mine")
    assert capsys.readouterr().err == ""
    judge_all(ScriptedJudge(by_length), requests("a"), name="mine")
    assert "Judging (mine): 100%" in capsys.readouterr().err
