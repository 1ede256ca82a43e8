"""The one way from requests to judgements."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from inspector_plugin.errors import JudgeError
from inspector_plugin.judging import judge_all
from inspector_plugin.schema import BINARY, AspectScore, Judgement, JudgeRequest
from inspector_plugin.testing import ScriptedJudge

ASPECTS = ("logicality", "fluency")


def requests(*responses: str) -> list[JudgeRequest]:
    return [JudgeRequest("q", response, ASPECTS) for response in responses]


def by_length(request: JudgeRequest, aspect: str) -> float:
    return float(len(request.response))


def test_chunks_in_order_and_handed_on_as_they_are_done() -> None:
    judge, handed = ScriptedJudge(by_length), []
    judged = judge_all(
        judge,
        requests("a", "aa", "aaa", "aaaa", "aaaaa"),
        chunk_size=2,
        on_judged=lambda start, chunk: handed.append((start, len(chunk), len(judge.calls))),
    )
    assert [judgement.aspects["fluency"].score for judgement in judged] == [1, 2, 3, 4, 5]
    assert [len(call) for call in judge.calls] == [2, 2, 1]
    assert handed == [(0, 2, 1), (2, 2, 2), (4, 1, 3)]


def test_nothing_to_judge_never_reaches_the_judge() -> None:
    judge = ScriptedJudge(by_length)
    asked = [
        *requests(" \n", "aa", "half a pair \ud800"),
        JudgeRequest("", "text", ASPECTS),
    ]
    judged = judge_all(judge, asked)
    assert [judgement.aspects["logicality"].reason for judgement in judged] == [
        "the response is empty",
        None,
        "the text is not valid Unicode",
        "the question is empty",
    ]
    assert judge.calls == [[asked[1]]]
    assert judge_all(judge, []) == []


def test_aspects_come_in_the_order_of_the_request() -> None:
    class Backwards(ScriptedJudge):
        def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
            return [
                Judgement(dict(reversed(judgement.aspects.items())))
                for judgement in super().judge(requests)
            ]

    [judgement] = judge_all(Backwards(by_length), requests("aa"))
    assert tuple(judgement.aspects) == ASPECTS


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([], "returned 0 judgements for 1 requests"),
        ([Judgement({"fluency": AspectScore(1.0, 1)})], r"judged \['fluency'\]"),
        ([Judgement(dict.fromkeys((*ASPECTS, "factuality"), AspectScore(1.0, 1)))], "factuality"),
        ([Judgement(dict.fromkeys(ASPECTS, AspectScore(3.0, 3)))], "3.0, outside its scale 0-1"),
        ([Judgement(dict.fromkeys(ASPECTS, AspectScore(1.0, 2)))], r"label 2, not one of \(0, 1\)"),
        ([Judgement(dict.fromkeys(ASPECTS, AspectScore(1.0)))], "label None, not one of"),
    ],
)
def test_a_judge_that_breaks_its_contract_is_named(answers: list[Judgement], message: str) -> None:
    class Broken(ScriptedJudge):
        def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
            return answers

    with pytest.raises(JudgeError, match=f"Judge 'broken'.*{message}.*fault of that judge"):
        judge_all(Broken([], BINARY), requests("a"), name="broken")


def test_progress_only_where_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    judge_all(ScriptedJudge(by_length), requests("a"))
    assert capsys.readouterr().err == ""
    judge_all(ScriptedJudge(by_length), requests("a"), progress=True, name="mine")
    assert "Judging (mine): 100%" in capsys.readouterr().err
