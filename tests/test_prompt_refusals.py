"""Whose a refusal is: of its response, or of the run; and what is kept when a run stops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from chat_server import Answer, Script, completion, error, response_of
from endpoint_judges import MakeJudge, Serve, requests

from inspector_plugin.errors import JudgeError
from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.judging.judge import JudgementGroups, StreamingJudge
from inspector_plugin.judging.run import judge_all
from inspector_plugin.schema import CriterionScore, Judgement, JudgeRequest


def refuse(count: int | None, *words: str, status: int = 400) -> Script:
    """Refuse the first calls, or all, in these words in turn."""
    return lambda body, number: (
        Answer(status=status, body=error(words[number % len(words)]))
        if count is None or number < count
        else Answer()
    )


@pytest.mark.parametrize("status", [400, 403, 422])
def test_what_all_first_calls_are_told_alike_stops_the_run(
    serve: Serve, make_judge: MakeJudge, status: int
) -> None:
    server = serve(
        refuse(None, "no such flag (request 7f3a)", "no such flag (request 8e)", status=status)
    )
    judge = make_judge(server, concurrency=1, reply_format="json")
    with pytest.raises(JudgeError, match=f"{status}: no such flag") as caught:
        judge_all(judge, requests(20))
    assert len(server.calls) == 3
    assert ("the key" in str(caught.value)) == (status == 403)
    with pytest.raises(JudgeError, match="no such flag"):
        judge_all(judge, requests(2))
    assert len(server.calls) == 5


def test_calls_refused_in_ever_new_words_stop_the_run_as_well(
    serve: Serve, make_judge: MakeJudge
) -> None:
    server = serve(refuse(None, *"abcdefghijkl"))
    with pytest.raises(JudgeError, match=r"each of the first 10 calls \(400: j\)"):
        judge_all(make_judge(server, concurrency=1, reply_format="json"), requests(20))


def test_one_refusal_tells_nothing_and_is_asked_again_later(
    serve: Serve, make_judge: MakeJudge, tmp_path: Path
) -> None:
    server = serve(refuse(1, "hm"))
    judge = make_judge(server, reply_format="json")
    with JudgeCache(tmp_path / "c") as cache:
        [judged] = judge_all(judge, requests(1), cache=cache)
        assert judged.scores["fluency"].reason == "the endpoint refused the call (400: hm)"
        assert judged.scores["fluency"].transient
        [judged] = judge_all(judge, requests(1), cache=cache)
    assert judged.total is not None


def test_refusals_before_a_reply_are_of_their_responses(
    serve: Serve, make_judge: MakeJudge, tmp_path: Path
) -> None:
    server = serve(refuse(2, "hm"))
    judge = make_judge(server, concurrency=1, reply_format="json")
    with JudgeCache(tmp_path / "c") as cache:
        for _ in range(2):
            judged = judge_all(judge, requests(4), cache=cache)
            found = [each.scores["fluency"] for each in judged]
            assert [score.reason is None for score in found] == [False, False, True, True]
            assert not any(score.transient for score in found)
    assert len(server.calls) == 4


def test_replies_that_are_paid_for_are_kept_when_the_run_stops(
    serve: Serve, make_judge: MakeJudge, tmp_path: Path
) -> None:
    """The calls under way when one answer stops the run are waited for, and cached."""
    asked = requests(12)
    refused = asked[3].response

    def script(body: Any, number: int) -> Answer:
        if response_of(body) == refused and number < 6:
            return Answer(status=402, body=error("Insufficient Balance"), delay=0.1)
        return Answer(delay=0.6)

    server = serve(script)
    with JudgeCache(tmp_path / "c") as cache:
        with pytest.raises(JudgeError, match="no credit left"):
            judge_all(make_judge(server, concurrency=6), asked, cache=cache)
        assert len(server.calls) == 6
        judged = judge_all(make_judge(server, concurrency=6), asked, cache=cache)
    assert all(each.total is not None for each in judged)
    assert len(server.calls) == 13
    assert set(server.succeeded.values()) == {1}


# What is cached


@pytest.mark.parametrize(
    ("answer", "cached"),
    [
        (Answer(content="no score"), False),
        (Answer(content=""), False),
        (Answer(body=completion({"content": ""}, "error")), False),
        (Answer(body=completion({"content": "", "refusal": "No."})), True),
        (Answer(content='{"score": 4, "just', finish_reason="length"), True),
        (Answer(status=413, body=""), True),
    ],
)
def test_a_repaired_server_is_asked_again(
    serve: Serve, make_judge: MakeJudge, tmp_path: Path, answer: Answer, cached: bool
) -> None:
    """Only scores are cached, and refusals that the request itself causes."""
    broken = [True]
    server = serve(lambda body, number: answer if broken[0] else Answer())
    with JudgeCache(tmp_path / "c") as cache:
        [first] = judge_all(make_judge(server), requests(1), cache=cache)
        assert first.total is None
        broken[0], before = False, len(server.calls)
        [again] = judge_all(make_judge(server), requests(1), cache=cache)
    assert (again.total is None) == cached
    assert len(server.calls) == before + (not cached)


def test_what_came_with_an_answer_that_stops_the_run_is_cached(tmp_path: Path) -> None:
    class Broken(StreamingJudge):
        asked: list[str] = []  # noqa: RUF012

        def judge_each(self, requests: Any) -> JudgementGroups:
            self.asked += [request.response for request in requests]
            good = Judgement({"fluency": CriterionScore(4.0, 4)})
            bad = Judgement({"fluency": CriterionScore(9.0, 9)})
            yield [
                (place, bad if request.response == "bad" else good)
                for place, request in enumerate(requests)
            ]

        def describe(self) -> dict[str, Any]:
            return {"made_of": "stone"}

    judge = Broken()
    asked = [JudgeRequest("q", response, ("fluency",)) for response in ("good", "bad", "late")]
    with JudgeCache(tmp_path / "c") as cache:
        for _ in range(2):
            with pytest.raises(JudgeError, match="bug in the judge"):
                judge_all(judge, asked, cache=cache)
    assert judge.asked == ["good", "bad", "late", "bad", "late"]
