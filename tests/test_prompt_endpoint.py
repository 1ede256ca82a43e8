"""The prompt judge against a real HTTP server on loopback."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chat_server import USAGE, Answer, ChatServer, Script, error, judgement, mixed_faults, score_of

from inspector_plugin.aspects import ASPECT_KEYS
from inspector_plugin.errors import InspectorError, JudgeError, OptionError
from inspector_plugin.judge import Judge
from inspector_plugin.judging import judge_all
from inspector_plugin.plugins import create_judge
from inspector_plugin.prompting import endpoint
from inspector_plugin.schema import JudgeRequest, Usage, total_usage
from inspector_plugin.testing import check_judge

KEY = "sk-0123456789abcdef-secret"
MakeJudge = Callable[..., Judge]
Serve = Callable[..., ChatServer]


def requests(count: int, *aspects: str) -> list[JudgeRequest]:
    aspects = aspects or ("fluency",)
    return [JudgeRequest("How many?", "so " * 3 + "x" * i, aspects) for i in range(count)]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[ChatServer] = []

    def start(script: Script | None = None, delay: float = 0.0) -> ChatServer:
        servers.append(ChatServer(script, delay).__enter__())
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__()


@pytest.fixture
def make_judge(monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeJudge]:
    judges: list[Judge] = []
    monkeypatch.setattr(endpoint, "_FIRST_PAUSE", 0.01)
    monkeypatch.setenv("TEST_KEY", KEY)

    def make(server: ChatServer | str, **options: Any) -> Judge:
        url = server if isinstance(server, str) else server.url
        given = {"base_url": url, "model": "m", "key_env": "TEST_KEY"} | options
        text = ",".join(f"{name}={value}" for name, value in given.items() if value is not None)
        judges.append(create_judge(f"prompt:{text}"))
        return judges[-1]

    yield make
    for judge in judges:
        judge.close()


def reasons(judge: Judge, asked: list[JudgeRequest]) -> list[str | None]:
    return [judged.aspects["fluency"].reason for judged in judge_all(judge, asked)]


def test_contract(serve: Serve, make_judge: MakeJudge) -> None:
    check_judge(make_judge(serve()))


def test_one_call_for_each_aspect_or_one_for_all(serve: Serve, make_judge: MakeJudge) -> None:
    per_aspect, joint = (
        serve(),
        serve(lambda body, number: Answer(json.dumps({k: {"score": 2} for k in ASPECT_KEYS}))),
    )
    asked = requests(3, *ASPECT_KEYS)
    judged = judge_all(make_judge(per_aspect), asked)
    assert len(per_aspect.calls) == 15
    for request, judgement_ in zip(asked, judged, strict=True):
        expected = score_of(request.response)
        assert [score.label for score in judgement_.aspects.values()] == [expected] * 5
        assert judgement_.aspects["fluency"].explanation == "because"
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
    assert "authorization" not in server.headers[1]


def test_binary_labels(serve: Serve, make_judge: MakeJudge) -> None:
    judged = judge_all(make_judge(serve(), labels="binary"), requests(5))
    assert sorted(each.aspects["fluency"].label for each in judged) == [0, 0, 0, 1, 1]


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


# Faults that pass


@pytest.mark.parametrize(
    "fault",
    [
        Answer(status=500, body=error("oops")),
        Answer(status=503, body="<html>busy</html>"),
        Answer(status=429, body=error("slow"), headers={"Retry-After": "0.01"}),
        Answer(status=429, body=error("slow")),
        Answer(cut=True),
        Answer(body="<html>hello</html>"),
        Answer(body="{}"),
        Answer(body='{"choices": [{"message": {"content": [1]}}]}'),
        Answer(delay=2.0),
        Answer(content="no JSON at all"),
        Answer(content=""),
        Answer(content='{"score": 9}'),
    ],
    ids=lambda fault: f"{fault.status} {fault.body or fault.content or fault.cut}",
)
def test_a_passing_fault_is_asked_again(serve: Serve, make_judge: MakeJudge, fault: Answer) -> None:
    server = serve(lambda body, number: fault if number in (0, 1) else Answer())
    judge = make_judge(server, timeout=0.3, concurrency=1)
    asked = requests(2)
    scores = [score_of(request.response) for request in asked]
    assert [each.total for each in judge_all(judge, asked)] == scores
    assert len(server.calls) == 4
    assert set(server.succeeded.values()) == {1}


def test_asking_again_names_the_fault_then_keeps_the_reply(
    serve: Serve, make_judge: MakeJudge
) -> None:
    server = serve(lambda body, number: Answer(content='{"score": 9}'))
    [judged] = judge_all(make_judge(server), requests(1))
    score = judged.aspects["fluency"]
    assert (score.score, score.explanation) == (None, '{"score": 9}')
    assert score.reason == "the reply cannot be used: its score is not a whole number from 1 to 5"
    assert score.flags == ()
    assert len(server.calls) == 3
    assert [m["role"] for m in server.calls[1]["messages"][2:]] == ["assistant", "user"]
    assert "not a whole number" in server.calls[1]["messages"][3]["content"]
    assert judged.usage is not None
    assert judged.usage.prompt_tokens == 3 * USAGE["prompt_tokens"]


def test_retry_after_is_kept_by_all_calls(serve: Serve, make_judge: MakeJudge) -> None:
    arrived: list[float] = []

    def script(body: Any, number: int) -> Answer:
        arrived.append(time.monotonic())
        slow = Answer(status=429, body=error("slow"), headers={"Retry-After": "0.5"})
        return slow if number == 0 else Answer(delay=0.05)

    judge_all(make_judge(serve(script), concurrency=2), requests(8))
    waited = [moment - arrived[0] for moment in arrived]
    # At most the other call under way came before the half second was over.
    assert sum(moment < 0.45 for moment in waited) <= 3
    assert max(waited) > 0.5


def test_concurrency_is_used_and_falls_after_429(serve: Serve, make_judge: MakeJudge) -> None:
    server = serve(delay=0.05)
    judge_all(make_judge(server, concurrency=8), requests(32))
    assert server.most_active == 8
    strict = serve()

    def refuse_above_four(body: Any, number: int) -> Answer:
        many = strict.active > 4
        return Answer(status=429, body=error("slow")) if many else Answer(delay=0.05)

    strict._script = refuse_above_four
    judge = make_judge(strict, concurrency=16)
    assert reasons(judge, requests(60)) == [None] * 60
    assert judge._source._pace.limit < 10  # type: ignore[attr-defined]


def test_requests_and_tokens_per_minute(serve: Serve, make_judge: MakeJudge) -> None:
    for limit in ({"requests_per_minute": 600}, {"tokens_per_minute": 60_000, "max_tokens": 100}):
        judge = make_judge(serve(), **limit)
        started = time.monotonic()
        judge_all(judge, requests(5))
        assert time.monotonic() - started > 0.4


def test_deadline(serve: Serve, make_judge: MakeJudge) -> None:
    server = serve(lambda body, number: Answer(delay=60.0) if number else Answer())
    judge = make_judge(server, deadline=2, concurrency=1)
    judge_all(judge, requests(1))
    started = time.monotonic()
    [judged] = judge_all(judge, requests(1))
    assert time.monotonic() - started < 30
    assert judged.aspects["fluency"].reason == "no answer within the deadline of 2 seconds"
    assert judged.aspects["fluency"].flags == ("passing",)


def test_no_row_is_lost_or_asked_twice_under_mixed_faults(
    serve: Serve, make_judge: MakeJudge
) -> None:
    server = serve(mixed_faults(0.1))
    judged = judge_all(make_judge(server, concurrency=16), requests(150))
    assert len(judged) == 150
    scored = [each for each in judged if each.total is not None]
    assert all(each.aspects["fluency"].reason for each in judged if each.total is None)
    assert len(scored) == len(server.succeeded) > 140
    assert set(server.succeeded.values()) == {1}


# Rows that cannot be judged


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            Answer(status=400, body=error("too many tokens", "context_length_exceeded")),
            "the prompt is longer than the model's context (400)",
        ),
        (
            Answer(status=400, body=error("\x1b[31mThis model's maximum context length is 9")),
            "the prompt is longer than the model's context (400)",
        ),
        (Answer(status=413, body="big"), "the prompt is longer than the model's context (413)"),
        (
            Answer(status=400, body=error(f"bad \x1b[31m {KEY}")),
            "the endpoint refused the call (400: bad [31m [key])",
        ),
        (
            Answer(finish_reason="content_filter", content=""),
            "the endpoint's content filter withheld the reply",
        ),
    ],
)
def test_one_row_is_left_out(
    serve: Serve, make_judge: MakeJudge, answer: Answer, reason: str
) -> None:
    server = serve(lambda body, number: answer if number == 0 else Answer())
    assert reasons(make_judge(server, concurrency=1), requests(2)) == [reason, None]
    assert len(server.calls) == 2


# Faults that stop the run


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            Answer(status=401, body=error(f"Incorrect key {KEY}")),
            "refused the key of environment variable TEST_KEY (401)",
        ),
        (Answer(status=403, body=error("no")), "refused the key"),
        (Answer(status=402, body=error("Insufficient Balance")), "no credit left (402)"),
        (Answer(status=429, body=error("q", "insufficient_quota")), "no credit left (429)"),
        (Answer(status=404, body=error("m?")), "knows no model 'm'"),
        (Answer(status=400, body=error("Model Not Exist")), "knows no model 'm'"),
        (
            Answer(status=307, body="", headers={"Location": "http://127.0.0.2:1/v1"}),
            "sends calls elsewhere (307), which is not followed",
        ),
        (Answer(body="<html>Welcome!</html>"), "it usually ends in /v1"),
    ],
)
def test_the_run_stops_at_once(
    serve: Serve,
    make_judge: MakeJudge,
    caplog: pytest.LogCaptureFixture,
    answer: Answer,
    message: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    server = serve(lambda body, number: answer)
    with pytest.raises(JudgeError) as caught:
        judge_all(make_judge(server, concurrency=2), requests(50))
    assert message in str(caught.value)
    assert server.url in str(caught.value)
    assert len(server.calls) <= 6
    assert KEY not in "".join(traceback.format_exception(caught.value)) + caplog.text


def test_a_call_without_key_says_how_to_give_one(serve: Serve, make_judge: MakeJudge) -> None:
    server = serve(lambda body, number: Answer(status=401, body=error("key?")))
    with pytest.raises(JudgeError, match=r"wants a key .* key_env=NAME"):
        judge_all(make_judge(server, key_env=None), requests(1))


def test_a_base_url_without_v1(serve: Serve, make_judge: MakeJudge) -> None:
    with pytest.raises(JudgeError, match="usually ends in /v1"):
        judge_all(make_judge(serve().url.removesuffix("/v1")), requests(1))


def test_nobody_there(make_judge: MakeJudge) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(JudgeError, match=r"no usable answer: no answer \(.*Connect call failed"):
        judge_all(make_judge(f"http://127.0.0.1:{port}/v1"), requests(1))


def test_a_host_that_speaks_no_tls(make_judge: MakeJudge) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:

        def greet() -> None:
            for _ in range(3):
                connection, _ = plain.accept()
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.close()

        threading.Thread(target=greet, daemon=True).start()
        with pytest.raises(JudgeError, match="No trusted TLS connection"):
            judge_all(make_judge(f"https://127.0.0.1:{plain.getsockname()[1]}/v1"), requests(1))


def test_a_proxy_that_is_not_there(make_judge: MakeJudge, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(JudgeError, match=r"proxy .* failed: .*HTTPS_PROXY"):
        judge_all(make_judge("http://judge.invalid/v1"), requests(1))


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
    score = judged.aspects["fluency"]
    assert score.score == pytest.approx((4 * 0.6 + 5 * 0.3) / 0.9)
    assert score.probabilities == pytest.approx({1: 0, 2: 0, 3: 0, 4: 2 / 3, 5: 1 / 3})
    assert server.calls[0]["top_logprobs"] == 20
    [binary] = judge_all(make_judge(server, logprobs="true", labels="binary"), requests(1))
    assert binary.aspects["fluency"].probabilities == pytest.approx({0: 0, 1: 1})


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
    left = [each.aspects["fluency"] for each in judged if each.total is None]
    assert left[0].reason == "not asked: the cost could pass max_cost $0.02"
    assert left[0].flags == ("passing",)


def test_dry_run_makes_no_call_and_needs_no_key(serve: Serve, make_judge: MakeJudge) -> None:
    server = serve()
    judge = make_judge(server, dry_run="true", key_env="UNSET", model="deepseek-chat")
    usage = total_usage(judge_all(judge, requests(10, *ASPECT_KEYS)))
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


def test_without_the_openai_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openai", None)
    monkeypatch.delitem(__import__("sys").modules, "inspector_plugin.prompting.endpoint")
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
