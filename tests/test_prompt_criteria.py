"""The prompt judge on criteria of one's own: prompts, replies and scores on any scale."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from chat_server import Answer, judgement, response_of
from endpoint_judges import MakeJudge, Serve

from inspector_plugin.judges.prompt import prompts
from inspector_plugin.judges.prompt.messages import Token
from inspector_plugin.judges.prompt.prompts import conversation_for, prompts_fingerprint
from inspector_plugin.judges.prompt.replies import (
    ReplyFault,
    Verdict,
    parse_reply,
    score_probabilities,
)
from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.judging.judge import StreamingJudge
from inspector_plugin.judging.run import judge_all
from inspector_plugin.schema import BINARY, ROSCOE, Criterion, JudgeRequest, Scale
from inspector_plugin.testing import OTHER_CRITERIA, check_judge

CARE, ANSWERED = OTHER_CRITERIA  # on 1-7 with anchors for 1 and 7, and on 0-1 with none
TEN = Criterion("ten", "", "Out of ten.", Scale(tuple(range(11))))
SIGNED = Criterion("signed", "", "Better or worse.", Scale((-2, -1, 0, 1, 2)))
FLUENCY = ROSCOE[3]
REQUEST = JudgeRequest("How many?", "Seven.", dataset="math")


# Prompts


def test_a_prompt_names_the_scale_and_shows_the_anchors_that_there_are() -> None:
    asked = conversation_for(REQUEST, (CARE,), False, "math")
    system = asked.messages[0].content
    anchors = "1: nothing is checked\n7: every step is checked\n\n"
    assert f"Care: The response checks its own steps.\n{anchors}" in system
    assert "Scores are whole numbers from 1 to 7;" in system
    assert system.endswith('The form:\n{"score": <1-7>, "justification": "<why>"}')
    assert "An example" not in system
    assert asked.schema["properties"]["score"] == {"type": "integer", "enum": [1, 2, 3, 4, 5, 6, 7]}
    assert asked.labels == (1, 2, 3, 4, 5, 6, 7)


def test_a_criterion_without_anchors_is_its_definition() -> None:
    system = conversation_for(REQUEST, (ANSWERED,), False, "math").messages[0].content
    assert "\n\nAnswered: The response gives an answer.\n\nAnswer with one JSON object" in system
    assert "from 0 to 1;" in system
    assert '{"score": <0-1>, ' in system


def test_a_scale_below_zero_is_named_so_that_it_can_be_read() -> None:
    asked = conversation_for(REQUEST, (SIGNED,), False, None)
    assert "Scores are whole numbers from -2 to 2;" in asked.messages[0].content
    assert '{"score": <-2 to 2>, ' in asked.messages[0].content
    assert asked.schema["properties"]["score"]["enum"] == [-2, -1, 0, 1, 2]


def test_a_joint_prompt_names_each_criterion_s_scale() -> None:
    asked = conversation_for(REQUEST, (CARE, FLUENCY, ANSWERED), True, "math")
    system = asked.messages[0].content
    assert 'Care (key "care"): The response checks' in system
    assert "Scores are whole numbers; a justification" in system  # no one scale for all
    assert system.endswith(
        '{"care": {"score": <1-7>, "justification": "<why>"}, '
        '"fluency": {"score": <1-5>, "justification": "<why>"}, '
        '"answered": {"score": <0-1>, "justification": "<why>"}}'
    )
    assert "An example" not in system
    enums = {
        key: each["properties"]["score"]["enum"] for key, each in asked.schema["properties"].items()
    }
    assert enums == {
        "care": [1, 2, 3, 4, 5, 6, 7],
        "fluency": [1, 2, 3, 4, 5],
        "answered": [0, 1],
    }
    assert asked.labels == (0, 1, 2, 3, 4, 5, 6, 7)
    same_scale = conversation_for(REQUEST, ROSCOE[:2], True, "math").messages[0].content
    assert "whole numbers from 1 to 5;" in same_scale
    assert "An example" in same_scale


def test_words_for_criteria_of_ones_own_count_in_the_fingerprint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where scales differ, which is never so among the built-in criteria, other words are used."""
    before, numbers = prompts_fingerprint(), prompts._numbers
    monkeypatch.setattr(prompts, "_numbers", lambda criteria: numbers(criteria) or " of any kind")
    prompts._system.cache_clear()
    changed = prompts_fingerprint()
    prompts._system.cache_clear()
    assert changed != before


# Replies


@pytest.mark.parametrize(
    ("criterion", "text", "score"),
    [
        (CARE, judgement(7), 7),
        (CARE, '{"score": "6/7"}', 6),
        (CARE, '{"score": 7/7, "justification": "all"}', 7),
        (CARE, "7/7", 7),
        (CARE, "Score: 6", 6),
        (TEN, judgement(0), 0),
        (TEN, judgement(10), 10),
        (TEN, "10/10", 10),
        (TEN, " 1 ", 1),
        (TEN, '{"score": "10.0"}', 10),
        (ANSWERED, judgement(1), 1),
        (ANSWERED, "0", 0),
        (SIGNED, judgement(-2), -2),
        (SIGNED, "-1", -1),
        (SIGNED, "Score: -1/2", -1),
        (SIGNED, '{"score": "-2"}', -2),
        (SIGNED, judgement(2), 2),
    ],
)
def test_scores_on_the_criterion_s_scale_are_read(
    criterion: Criterion, text: str, score: int
) -> None:
    assert parse_reply(text, (criterion,), False)[criterion.key].score == score


@pytest.mark.parametrize(
    ("criterion", "text", "scale"),
    [
        (CARE, "4/5", "from 1 to 7"),
        (CARE, '{"score": "4/5"}', "from 1 to 7"),
        (CARE, '{"score": 4/10}', "from 1 to 7"),
        (CARE, judgement(8), "from 1 to 7"),
        (CARE, judgement(0), "from 1 to 7"),
        (TEN, judgement(11), "from 0 to 10"),
        (TEN, judgement(-1), "from 0 to 10"),
        (ANSWERED, judgement(2), "from 0 to 1"),
        (ANSWERED, judgement(0.5), "from 0 to 1"),
        (SIGNED, judgement(-3), "from -2 to 2"),
        (SIGNED, "-1/-2", None),
    ],
)
def test_scores_off_the_criterion_s_scale_are_faults(
    criterion: Criterion, text: str, scale: str | None
) -> None:
    message = f"its score is not a whole number {scale}" if scale else "no complete JSON object"
    with pytest.raises(ReplyFault, match=message):
        parse_reply(text, (criterion,), False)


def test_a_joint_reply_is_read_on_each_criterion_s_scale() -> None:
    reply = {"care": {"score": 7}, "answered": {"score": "1/1"}, "fluency": {"score": 5}}
    criteria = (CARE, ANSWERED, FLUENCY)
    assert parse_reply(json.dumps(reply), criteria, True) == {
        "care": Verdict(7, None),
        "answered": Verdict(1, None),
        "fluency": Verdict(5, None),
    }
    reply["fluency"] = {"score": 6}
    with pytest.raises(ReplyFault, match="from 1 to 5"):
        parse_reply(json.dumps(reply), criteria, True)


# Probabilities


def read(
    criterion: Criterion, texts: Sequence[str], score: int, **shares: float
) -> dict[int, float]:
    """Read the probabilities off the second token, whose candidates have these shares."""
    names = {name.removeprefix("p").replace("m", "-"): share for name, share in shares.items()}
    candidates = {text: math.log(share) for text, share in names.items()}
    tokens = [Token(text, candidates if n == 1 else {}) for n, text in enumerate(texts)]
    return score_probabilities("".join(texts), tokens, criterion, score, False)


def test_probabilities_cover_the_criterion_s_scale() -> None:
    found = read(CARE, ('{"score": ', "6", "}"), 6, p6=0.5, p7=0.3, p8=0.1, p1=0.2)
    assert found == pytest.approx({1: 0.2, 2: 0, 3: 0, 4: 0, 5: 0, 6: 0.5, 7: 0.3})
    assert list(found) == list(CARE.scale.labels)


def test_one_may_be_the_beginning_of_ten() -> None:
    reply = ('{"score": ', "1", "}")
    with pytest.raises(ReplyFault, match="the label 10 may take several tokens"):
        read(TEN, reply, 1, p1=0.6, p2=0.3)
    # No other score is safe either: who knows how much of "1" is "10"?
    with pytest.raises(ReplyFault, match="the label 10 may take several tokens"):
        read(TEN, ('{"score": ', "2", "}"), 2, p1=0.6, p2=0.3)
    found = read(TEN, reply, 1, p1=0.6, p2=0.3, p10=0.1)
    assert (found[1], found[2], found[10]) == pytest.approx((0.6, 0.3, 0.1))
    ten = read(TEN, ('{"score": ', "10", "}"), 10, p1=0.2, p10=0.6)
    assert (ten[1], ten[10]) == pytest.approx((0.25, 0.75))
    with pytest.raises(ReplyFault, match="no token of the reply consists of the score alone"):
        read(TEN, ('{"score": ', "1", "0", "}"), 10, p1=0.6, p2=0.3)


def test_a_minus_may_be_a_token_of_its_own() -> None:
    with pytest.raises(ReplyFault, match="the label -2 may take several tokens"):
        read(SIGNED, ('{"score": ', "1", "}"), 1, p1=0.6, p2=0.3)
    with pytest.raises(ReplyFault, match="no token of the reply consists of the score alone"):
        read(SIGNED, ('{"score": ', "-", "1}"), -1, p1=0.6)
    found = read(SIGNED, ('{"score": ', "-1", "}"), -1, pm1=0.6, pm2=0.3, p1=0.1)
    assert found == pytest.approx({-2: 0.3, -1: 0.6, 0: 0, 1: 0.1, 2: 0})


# From requests to scores


def scripted(scores: dict[str, Any], logprobs: Any = None) -> Any:
    """Score a response as told."""
    return lambda body, number: Answer(scores[response_of(body)], logprobs=logprobs)


def test_each_criterion_is_asked_for_and_scored_on_its_own_scale(
    serve: Serve, make_judge: MakeJudge
) -> None:
    def answer(body: Any, number: int) -> Answer:
        schema = body["response_format"]["json_schema"]["schema"]
        return Answer(judgement(schema["properties"]["score"]["enum"][-1]))

    server = serve(answer)
    request = JudgeRequest("How many?", "Seven.", (CARE, FLUENCY, ANSWERED))
    [judged] = judge_all(make_judge(server), [request], progress=False)
    assert len(server.calls) == 3
    assert {key: score.score for key, score in judged.scores.items()} == {
        "care": 7,
        "fluency": 5,
        "answered": 1,
    }
    assert [score.scale for score in judged.scores.values()] == [
        criterion.scale for criterion in request.criteria
    ]
    assert judged.total is None


def test_joint_replies_and_a_fault_in_one_of_them(serve: Serve, make_judge: MakeJudge) -> None:
    good = json.dumps({"care": {"score": 6}, "answered": {"score": 0}})
    bad = json.dumps({"care": {"score": 8}, "answered": {"score": 0}})
    server = serve(lambda body, number: Answer(bad if number == 0 else good))
    request = JudgeRequest("How many?", "Seven.", OTHER_CRITERIA)
    [judged] = judge_all(make_judge(server, mode="joint"), [request], progress=False)
    assert len(server.calls) == 2
    fault = server.calls[1]["messages"][3]["content"]
    assert "not a whole number from 1 to 7" in fault
    assert '{"care": {"score": <1-7>' in fault
    assert (judged.scores["care"].score, judged.scores["answered"].score) == (6, 0)


@pytest.mark.parametrize("mode", ["per-criterion", "joint"])
def test_the_contract(serve: Serve, make_judge: MakeJudge, mode: str) -> None:
    def answer(body: Any, number: int) -> Answer:
        properties = body["response_format"]["json_schema"]["schema"]["properties"]
        length = len(response_of(body))

        def pick(labels: list[int]) -> dict[str, int]:
            return {"score": labels[length % len(labels)]}

        if mode == "per-criterion":
            return Answer(json.dumps(pick(properties["score"]["enum"])))
        enums = {key: each["properties"]["score"]["enum"] for key, each in properties.items()}
        return Answer(json.dumps({key: pick(labels) for key, labels in enums.items()}))

    check_judge(make_judge(serve(answer), mode=mode))


def test_low_and_high_quality_go_by_the_midpoint_of_the_criterion(
    serve: Serve, make_judge: MakeJudge
) -> None:
    """The midpoint of 1-7 is 4, of 0-10 it is 5, of -2 to 2 it is 0."""
    scores = {str(score): judgement(score) for score in range(-2, 11)}
    judge = make_judge(serve(scripted(scores)), labels="binary")
    cases = [(CARE, 4, 0), (CARE, 5, 1), (TEN, 5, 0), (TEN, 6, 1), (SIGNED, 0, 0), (SIGNED, 1, 1),
             (ANSWERED, 0, 0), (ANSWERED, 1, 1), (FLUENCY, 3, 0), (FLUENCY, 4, 1)]  # fmt: skip
    asked = [JudgeRequest("How many?", str(score), (criterion,)) for criterion, score, _ in cases]
    for judged, (criterion, _, high) in zip(
        judge_all(judge, asked, progress=False), cases, strict=True
    ):
        score = judged.scores[criterion.key]
        assert (score.score, score.label, score.scale) == (high, high, BINARY)
        assert score.probabilities is None
        assert score.fingerprint == criterion.fingerprint


def test_low_and_high_quality_from_probabilities(serve: Serve, make_judge: MakeJudge) -> None:
    """Labels above the midpoint, 5 to 7, have 0.2 + 0.3 of 0.9; the likeliest is 4."""
    shares = {"4": 0.4, "5": 0.2, "7": 0.3, "x": 0.1}
    top = [{"token": token, "logprob": math.log(share)} for token, share in shares.items()]
    head, tail = judgement(4).split("4")
    content = [
        {"token": head, "top_logprobs": []},
        {"token": "4", "top_logprobs": top},
        {"token": tail, "top_logprobs": []},
    ]
    server = serve(scripted({"Seven.": judgement(4)}, {"content": content}))
    request = JudgeRequest("How many?", "Seven.", (CARE,))
    found = {}
    for labels in ("multiclass", "binary"):
        judge = make_judge(server, logprobs="true", labels=labels)
        found[labels] = judge_all(judge, [request], progress=False)[0].scores["care"]
    # (4 * 0.4 + 5 * 0.2 + 7 * 0.3) / 0.9
    assert found["multiclass"].score == 5.2222
    assert found["multiclass"].label == 4
    binary = found["binary"]
    assert (binary.score, binary.label, binary.scale) == (0.5556, 1, BINARY)
    assert binary.probabilities == {0: 0.4444, 1: 0.5556}
    assert binary.explanation == "because"


def test_per_aspect_is_another_name_of_per_criterion(
    serve: Serve, make_judge: MakeJudge, tmp_path: Path
) -> None:
    server = serve()
    new, old, joint = (
        make_judge(server, mode=mode) for mode in ("per-criterion", "per-aspect", "joint")
    )
    assert new.describe() == old.describe() == make_judge(server).describe()
    assert new.describe()["mode"] == "per-criterion"
    assert joint.describe()["mode"] == "joint"
    assert isinstance(old, StreamingJudge)
    assert old.independent_criteria
    request = JudgeRequest("How many?", "Seven.", (FLUENCY, CARE))
    with JudgeCache(tmp_path / "cache") as cache:
        first = judge_all(new, [request], progress=False, cache=cache)
        again = judge_all(old, [request], progress=False, cache=cache)
    assert len(server.calls) == 2
    assert first[0].scores == again[0].scores
