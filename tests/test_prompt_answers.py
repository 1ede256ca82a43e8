"""Chat completions in the forms that OpenAI-compatible servers give them."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from chat_server import USAGE, Answer, completion, error, judgement
from endpoint_judges import MakeJudge, Serve, reasons, requests

from inspector_plugin.errors import JudgeError
from inspector_plugin.judges.prompt.messages import Message
from inspector_plugin.judges.prompt.prompts import asked_again, conversation_for, scores_form
from inspector_plugin.judging.run import judge_all
from inspector_plugin.schema import ROSCOE, JudgeRequest

GOOD = judgement(4)


@pytest.mark.parametrize(
    "message",
    [
        {"content": [{"type": "text", "text": GOOD}]},
        {"content": [{"type": "text", "text": GOOD[:9]}, {"type": "text", "text": GOOD[9:]}]},
        {"content": [{"type": "thinking", "thinking": "1?"}, {"type": "text", "text": GOOD}]},
        {"content": [{"type": "reasoning", "text": judgement(1)}, {"text": GOOD}]},
        {"content": [GOOD]},
        {"content": f"<think>perhaps {judgement(1)}</think>\n{GOOD}"},
        {"content": None, "reasoning_content": GOOD},
        {"content": "", "reasoning": f"```json\n{GOOD}\n```"},
        {"content": GOOD, "reasoning_content": judgement(1)},
    ],
)
def test_where_the_reply_stands(serve: Serve, make_judge: MakeJudge, message: Any) -> None:
    server = serve(lambda body, number: Answer(body=completion(message)))
    [judged] = judge_all(make_judge(server), requests(1))
    assert judged.total == 4
    assert len(server.calls) == 1


def body_of(**fields: Any) -> str:
    return json.dumps({"object": "chat.completion", "usage": USAGE, **fields})


CUT = "the reply was cut off at max_tokens=77; raise max_tokens"
OUTAGE = json.dumps({"error": {"message": "upstream idle", "code": 502}})
IDLE = {"message": "upstream idle", "code": 502}


@pytest.mark.parametrize(
    ("body", "reason", "calls", "transient"),
    [
        (completion({"content": '{"score": 4, "justif'}, "length"), CUT, 1, False),
        (completion({"content": None, "reasoning_content": "Hm"}, "length"), CUT, 1, False),
        (completion({"content": "<think>Hm"}, "max_tokens"), CUT, 1, False),
        (
            completion({"content": None, "refusal": "I cannot."}),
            "the endpoint withheld the reply (I cannot.)",
            1,
            False,
        ),
        (
            completion({"role": "assistant"}, "content_filter: PROHIBITED_CONTENT"),
            "the endpoint withheld the reply (content_filter: prohibited_content)",
            1,
            False,
        ),
        (
            body_of(choices=[{"finish_reason": "content_filter"}]),
            "the endpoint withheld the reply (content_filter)",
            1,
            False,
        ),
        (OUTAGE, "server error (502: upstream idle), 8 times", 8, True),
        (
            completion({"content": ""}, "error", error=IDLE),
            "server error (502: upstream idle), 8 times",
            8,
            True,
        ),
        (
            body_of(choices=None),
            "the answer is no chat completion: it has no choices, 3 times",
            3,
            True,
        ),
        (
            body_of(choices=[]),
            "the answer is no chat completion: it has no choices, 3 times",
            3,
            True,
        ),
        (
            body_of(choices=[{"index": 0}]),
            "the answer is no chat completion: its choice has no message, 3 times",
            3,
            True,
        ),
        (
            completion({"content": {"no": "text"}}),
            "the answer is no chat completion: its content is not text, 3 times",
            3,
            True,
        ),
        (completion({"content": ""}), "the reply cannot be used: it is empty", 3, False),
    ],
)
def test_answers_without_a_judgement(
    serve: Serve, make_judge: MakeJudge, body: str, reason: str, calls: int, transient: bool
) -> None:
    server = serve(lambda _, number: Answer(body=body))
    [judged] = judge_all(make_judge(server, max_tokens=77), requests(1))
    score = judged.scores["fluency"]
    assert (score.reason, score.transient) == (reason, transient)
    assert len(server.calls) == calls


def test_what_an_unusable_answer_costs_is_counted(serve: Serve, make_judge: MakeJudge) -> None:
    server = serve(lambda _, number: Answer(body=body_of(choices=[])) if number == 0 else Answer())
    [judged] = judge_all(make_judge(server), requests(1))
    assert judged.usage is not None
    assert (judged.usage.calls, judged.usage.prompt_tokens) == (2, 2 * USAGE["prompt_tokens"])


def test_a_whole_judgement_at_the_limit_is_one(serve: Serve, make_judge: MakeJudge) -> None:
    server = serve(lambda _, number: Answer(content=GOOD, finish_reason="length"))
    assert reasons(make_judge(server), requests(1)) == [None]


def test_rate_limits_inside_a_200_are_waited_for(serve: Serve, make_judge: MakeJudge) -> None:
    busy = json.dumps({"error": {"message": "slow down", "type": "rate_limit_exceeded"}})
    server = serve(lambda _, number: Answer(body=busy) if number < 2 else Answer())
    judge = make_judge(server, concurrency=4)
    assert reasons(judge, requests(1)) == [None]
    assert judge._source._pace.limit < 4  # type: ignore[attr-defined]


def test_asking_again_makes_no_empty_message(serve: Serve, make_judge: MakeJudge) -> None:
    replies = ("", "<think>hm</think>", "five", GOOD)
    server = serve(lambda _, number: Answer(content=replies[number]))
    judge_all(make_judge(server), requests(1))
    asked = [[message["role"] for message in body["messages"]] for body in server.calls]
    assert asked == [["system", "user"]] * 3
    assert all(message["content"] for body in server.calls for message in body["messages"])
    last = server.calls[1]["messages"][1]["content"]
    assert last.startswith(server.calls[0]["messages"][1]["content"])
    assert "it is empty" in last


def test_thoughts_are_not_shown_when_asking_again() -> None:
    asked = conversation_for(JudgeRequest("q", "r"), ROSCOE[:1], False, None)
    again = asked_again(asked, "<think>hm</think> five", "bad", scores_form(ROSCOE[:1], False))
    assert again.messages[2] == Message("assistant", "five")


# Log-probabilities


def reply_tokens() -> tuple[str, ...]:
    head, tail = GOOD.split("4")
    return head, "4", tail


def logprobs_of(*tokens: str) -> dict[str, Any]:
    top = [{"token": t, "logprob": math.log(p)} for t, p in (("4", 0.75), ("5", 0.25))]
    return {"content": [{"token": t, "logprob": -0.1, "top_logprobs": top} for t in tokens]}


def test_fewer_candidates(serve: Serve, make_judge: MakeJudge) -> None:
    words = "Requested sample logprobs of 20, which is greater than max allowed: 5"

    def script(body: dict[str, Any], number: int) -> Answer:
        if body["top_logprobs"] > 5:
            return Answer(status=400, body=error(words))
        return Answer(judgement(4), logprobs=logprobs_of(*reply_tokens()))

    server = serve(script)
    judged = judge_all(make_judge(server, logprobs="true", concurrency=1), requests(2))
    assert [each.total for each in judged] == [4.25, 4.25]
    assert [body["top_logprobs"] for body in server.calls] == [20, 5, 5]


def test_log_probabilities_that_begin_with_thoughts(serve: Serve, make_judge: MakeJudge) -> None:
    thoughts = ("It gets", " 1", " at first: ", '{"score": ', "1", "}", "</think>")
    for said in (thoughts, thoughts[:-1]):
        logprobs = logprobs_of(*said, *reply_tokens())
        body = completion({"content": GOOD}, logprobs=logprobs)
        server = serve(lambda _, number, body=body: Answer(body=body))
        [judged] = judge_all(make_judge(server, logprobs="true"), requests(1))
        assert judged.total == 4.25


def test_log_probabilities_without_candidates(serve: Serve, make_judge: MakeJudge) -> None:
    content = [{"token": each, "logprob": -0.1, "top_logprobs": None} for each in reply_tokens()]
    server = serve(lambda _, number: Answer(GOOD, logprobs={"content": content}))
    with pytest.raises(JudgeError, match="returns no candidates"):
        judge_all(make_judge(server, logprobs="true"), requests(1))


def test_log_probabilities_that_are_missing_once_are_asked_for_again(
    serve: Serve, make_judge: MakeJudge
) -> None:
    good = logprobs_of(*reply_tokens())
    server = serve(lambda _, number: Answer(GOOD, logprobs=None if number == 1 else good))
    judge = make_judge(server, logprobs="true", concurrency=1)
    assert reasons(judge, requests(3)) == [None] * 3
    assert len(server.calls) == 4
