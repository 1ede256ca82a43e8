"""The prompt judge against a real HTTP server on loopback."""

from __future__ import annotations

import asyncio
import gc
import json
import math
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chat_server import Answer, Script, error, judgement, score_of
from endpoint_judges import KEY, MakeJudge, Serve, reasons, requests

from inspector_plugin.errors import InspectorError, JudgeError, OptionError
from inspector_plugin.judging.judge import StreamingJudge
from inspector_plugin.judging.run import judge_all
from inspector_plugin.plugins.registry import create_judge
from inspector_plugin.schema import Usage, total_usage
from inspector_plugin.schema.roscoe import ROSCOE_KEYS
from inspector_plugin.testing import check_judge


def test_contract(serve: Serve, make_judge: MakeJudge) -> None:
    check_judge(make_judge(serve()))


def test_one_call_for_each_criterion_or_one_for_all(serve: Serve, make_judge: MakeJudge) -> None:
    per_criterion, joint = (
        serve(),
        serve(lambda body, number: Answer(json.dumps({k: {"score": 2} for k in ROSCOE_KEYS}))),
    )
    asked = requests(3, *ROSCOE_KEYS)
    judged = judge_all(make_judge(per_criterion), asked)
    assert len(per_criterion.calls) == 15
    for request, judgement_ in zip(asked, judged, strict=True):
        expected = score_of(request.response)
        assert [score.label for score in judgement_.scores.values()] == [expected] * 5
        assert judgement_.scores["fluency"].explanation == "because"
    [first, *_] = judge_all(make_judge(joint, mode="joint"), asked)
    assert len(joint.calls) == 3
    assert first.total == 10
    assert first.usage is not None
    assert first.usage.calls == 1


def test_what_is_sent(serve: Serve, make_judge: MakeJudge, monkeypatch: Any) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org")
    server = serve()
    judge_all(make_judge(server, max_tokens=99), requests(1))
    judge_all(make_judge(server, key_env=None), requests(1))
    body, headers = server.calls[0], server.headers[0]
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("m", 0, 99)
    assert body["response_format"]["json_schema"]["schema"]["required"][0] == "score"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert "openai-organization" not in headers
    assert not [name for name in headers if name.startswith("x-stainless")]
    assert "authorization" not in server.headers[1]


def test_garbage_is_collected_as_before_when_calls_are_over(
    serve: Serve, make_judge: MakeJudge
) -> None:
    usual = gc.get_threshold()
    judge = make_judge(serve(), concurrency=1)
    assert isinstance(judge, StreamingJudge)
    groups = judge.judge_each(requests(3))
    next(iter(groups))
    assert gc.get_threshold()[0] > usual[0]
    groups.close()  # type: ignore[attr-defined]
    assert gc.get_threshold() == usual


def test_binary_labels(serve: Serve, make_judge: MakeJudge) -> None:
    judged = judge_all(make_judge(serve(), labels="binary"), requests(5))
    assert sorted(each.scores["fluency"].label for each in judged) == [0, 0, 0, 1, 1]


def test_usage_and_cost(serve: Serve, make_judge: MakeJudge, tmp_path: Path) -> None:
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({"m": {"miss": 1.0, "hit": 0.1, "output": 2.0}}))
    judged = judge_all(make_judge(serve(), prices=prices), requests(2, "fluency", "factuality"))
    usage = judged[0].usage
    assert usage is not None
    # Two calls of 400 missed, 600 cached and 50 written tokens.
    assert replace(usage, seconds=0.0) == Usage(2, 2000, 1200, 100, 0.0, pytest.approx(1120e-6))
    assert usage.seconds > 0
    assert total_usage(judged) == judged[0].usage + judged[1].usage  # type: ignore[operator]
    openai_style = {
        "prompt_tokens": 7,
        "completion_tokens": 1,
        "prompt_tokens_details": {"cached_tokens": 3},
    }
    server = serve(lambda body, n: Answer(usage=None if n == 0 else openai_style))
    unknown, known = judge_all(make_judge(server, prices=prices, concurrency=1), requests(2))
    assert unknown.usage is not None
    assert unknown.usage.money is None
    assert known.usage is not None
    assert known.usage.money == pytest.approx((4 + 0.3 + 2) / 1e6)


# Response formats and log-probabilities


def test_auto_falls_back_to_json_and_no_further(serve: Serve, make_judge: MakeJudge) -> None:
    def only(kind: str | None) -> Script:
        refused = Answer(status=400, body=error("response_format is not supported"))
        return lambda body, n: (
            Answer() if body.get("response_format", {}).get("type") == kind else refused
        )

    has_json, has_none = serve(only("json_object")), serve(only(None))
    assert reasons(make_judge(has_json, concurrency=3), requests(6)) == [None] * 6
    for reply_format in ("auto", "json", "schema"):
        with pytest.raises(JudgeError, match="use reply_format=text"):
            judge_all(make_judge(has_none, reply_format=reply_format), requests(1))
    assert reasons(make_judge(has_none, reply_format="text"), requests(1)) == [None]


def test_logprobs_give_the_expected_score(serve: Serve, make_judge: MakeJudge) -> None:
    top = [{"token": t, "logprob": math.log(p)} for t, p in (("4", 0.6), ("5", 0.3), ("x", 0.1))]
    reply = judgement(4)
    head, tail = reply.split("4")
    logprobs = {
        "content": [
            {"token": head, "top_logprobs": []},
            {"token": "4", "top_logprobs": top},
            {"token": tail, "top_logprobs": []},
        ]
    }
    server = serve(lambda body, number: Answer(content=reply, logprobs=logprobs))
    [judged] = judge_all(make_judge(server, logprobs="true"), requests(1))
    score = judged.scores["fluency"]
    # (4 * 0.6 + 5 * 0.3) / 0.9, to four digits.
    assert score.score == 4.3333
    assert score.probabilities == {1: 0, 2: 0, 3: 0, 4: 0.6667, 5: 0.3333}
    assert server.calls[0]["top_logprobs"] == 20
    [binary] = judge_all(make_judge(server, logprobs="true", labels="binary"), requests(1))
    assert binary.scores["fluency"].probabilities == pytest.approx({0: 0, 1: 1})


@pytest.mark.parametrize(
    "answer",
    [Answer(), Answer(status=400, body=error("logprobs is not supported by this model"))],
)
def test_no_logprobs_is_an_error(serve: Serve, make_judge: MakeJudge, answer: Answer) -> None:
    with pytest.raises(JudgeError, match=r"no token log-probabilities.* without logprobs"):
        judge_all(make_judge(serve(lambda body, n: answer), logprobs="true"), requests(1))


# Money


def test_max_cost_is_never_passed(serve: Serve, make_judge: MakeJudge, tmp_path: Path) -> None:
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({"m": {"miss": 1.0, "hit": 1.0, "output": 1.0}}))
    # A call costs $0.00105; at most it could cost its bytes and 100 tokens, about $0.003.
    server = serve(delay=0.01)
    judge = make_judge(server, prices=prices, max_cost=0.02, max_tokens=100, concurrency=8)
    judged = judge_all(judge, requests(40))
    spent = total_usage(judged)
    assert spent is not None
    assert 0.02 - 0.004 < spent.money <= 0.02  # type: ignore[operator]
    assert len(server.calls) == spent.calls
    left = [each.scores["fluency"] for each in judged if each.total is None]
    assert left[0].reason == "not asked: the cost could pass max_cost $0.02"
    assert left[0].transient
    assert left[0].flags == ()


def test_dry_run_makes_no_call_and_needs_no_key(serve: Serve, make_judge: MakeJudge) -> None:
    server = serve()
    judge = make_judge(server, dry_run="true", key_env="UNSET", model="deepseek-chat")
    usage = total_usage(judge_all(judge, requests(10, *ROSCOE_KEYS)))
    assert usage is not None
    assert usage.calls == 50
    # The prompts are about 3 kB each: 500 to 1000 tokens, of which a million cost $0.28.
    assert 50 * 500 < usage.prompt_tokens < 50 * 1000
    expected = (usage.prompt_tokens * 0.28 + 50 * 60 * 0.42) / 1e6
    assert usage.money == pytest.approx(expected)
    assert not server.calls


# Options and keys


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("prompt", "needs a model"),
        ("prompt:model=m,base_url=ftp://x", "http\\(s\\) address"),
        ("prompt:model=m,base_url=localhost:8000", "http\\(s\\) address"),
        (f"prompt:model=m,base_url=http://u:{KEY}@x/v1", "must hold no user, password"),
        ("prompt:model=m,base_url=http://x,key_env=UNSET", "environment variable UNSET is not set"),
        (f"prompt:model=m,base_url=http://x,key_env={KEY}", "not the key itself"),
        ("prompt:model=m,base_url=http://x,extra_body=7", "must be one JSON object"),
        ('prompt:model=m,base_url=http://x,extra_body={"a": NaN}', "must be one JSON object"),
        ('prompt:model=m,base_url=http://x,extra_body={"messages": []}', "cannot hold messages"),
        ("deepseek:extra_body=" + "[" * 100_000, "must be one JSON object"),
        (f"prompt:model=m,base_url=http://x,max_tokens={10**400}", "must be at most 1e\\+12"),
        (f"prompt:model=m,base_url=http://x,key_file={KEY}", "Cannot read the key file"),
        ("prompt:model=m,base_url=http://x,key_env=EMPTY", "holds no usable key"),
        (f"deepseek:api_key={KEY}", "Unknown option 'api_key'"),
        ("deepseek", "DEEPSEEK_API_KEY is not set"),
        ("deepseek:concurrency=0", "'concurrency' must be above 0"),
        ("deepseek:max_cost=nan", "'max_cost' must be above 0"),
        ("prompt:model=m,base_url=http://x,max_cost=1", "max_cost needs the price of 'm'"),
        ("prompt:model=m,base_url=http://x,prices=none.json", "Cannot read the prices"),
        ("prompt:model=m,base_url=http://x,prices=bad.json", "hit must be a number"),
        ("prompt:model=m,dry_run=true", "costs no money"),
    ],
)
def test_bad_options(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spec: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.json").write_text('{"m": {"miss": 1, "hit": "x", "output": 1}}')
    monkeypatch.delenv("DEEPSEEK_API_KEY", raising=False)
    monkeypatch.setenv("EMPTY", "two words")
    with pytest.raises(InspectorError, match=message) as caught:
        create_judge(spec)
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_key_from_a_file(serve: Serve, make_judge: MakeJudge, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-file\n")
    server = serve()
    judge = make_judge(server, key_env=None, key_file=tmp_path / "key")
    judge_all(judge, requests(1))
    assert server.headers[0]["authorization"] == "Bearer from-file"
    assert "from-file" not in repr(vars(judge._source)) + str(judge.describe())  # type: ignore[attr-defined]


def test_without_the_package_for_endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    modules = __import__("sys").modules
    monkeypatch.setitem(modules, "aiohttp", None)
    for name in ("endpoint", "transport"):
        monkeypatch.delitem(modules, f"inspector_plugin.judges.prompt.{name}")
    with pytest.raises(OptionError, match=r'pip install "inspector_plugin\[openai\]"'):
        create_judge("prompt:model=m,base_url=http://x")


# Life cycle


def test_interrupting_stops_the_calls(serve: Serve, make_judge: MakeJudge) -> None:
    server = serve(delay=0.05)
    judge = make_judge(server, concurrency=4)

    def interrupt(start: int, judged: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judge_all(judge, requests(40), on_judged=interrupt)
    time.sleep(0.2)
    assert len(server.calls) <= 8
    assert reasons(judge, requests(2)) == [None, None]


def test_inside_a_running_event_loop(serve: Serve, make_judge: MakeJudge) -> None:
    judge = make_judge(serve())

    async def notebook() -> list[str | None]:
        return reasons(judge, requests(3))

    assert asyncio.run(notebook()) == [None] * 3
