"""The prompt judge against a server that fails: what is tried again, left out, or stops the run."""

from __future__ import annotations

import logging
import socket
import threading
import time
import traceback

import pytest
from chat_server import USAGE, Answer, error, mixed_faults, response_of, score_of
from endpoint_judges import KEY, MakeJudge, Serve, requests

from inspector_plugin.errors import JudgeError
from inspector_plugin.judging.run import judge_all

# Transient faults


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
def test_a_transient_fault_is_asked_again(
    serve: Serve, make_judge: MakeJudge, fault: Answer
) -> None:
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
    score = judged.scores["fluency"]
    assert (score.score, score.explanation) == (None, '{"score": 9}')
    assert score.reason == "the reply cannot be used: its score is not a whole number from 1 to 5"
    assert score.flags == ()
    assert not score.transient
    assert len(server.calls) == 3
    assert [m["role"] for m in server.calls[1]["messages"][2:]] == ["assistant", "user"]
    assert "not a whole number" in server.calls[1]["messages"][3]["content"]
    assert judged.usage is not None
    assert judged.usage.prompt_tokens == 3 * USAGE["prompt_tokens"]


def test_deadline(serve: Serve, make_judge: MakeJudge) -> None:
    server = serve(lambda body, number: Answer(delay=60.0) if number else Answer())
    judge = make_judge(server, deadline=2, concurrency=1)
    judge_all(judge, requests(1))
    started = time.monotonic()
    [judged] = judge_all(judge, requests(1))
    assert time.monotonic() - started < 30
    assert judged.scores["fluency"].reason == "no answer within the deadline of 2 seconds"
    assert judged.scores["fluency"].transient
    assert judged.scores["fluency"].flags == ()


def test_no_row_is_lost_or_asked_twice_under_mixed_faults(
    serve: Serve, make_judge: MakeJudge
) -> None:
    server = serve(mixed_faults(0.1))
    judged = judge_all(make_judge(server, concurrency=16), requests(150))
    assert len(judged) == 150
    scored = [each for each in judged if each.total is not None]
    assert all(each.scores["fluency"].reason for each in judged if each.total is None)
    assert len(scored) == len(server.succeeded) > 140
    assert set(server.succeeded.values()) == {1}


# Rows that cannot be judged


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            Answer(status=400, body=error("too many tokens", "context_length_exceeded")),
            "prompt and reply are longer than the model's context (400: too many tokens)",
        ),
        (
            Answer(status=400, body=error("\x1b[31mThe maximum context length is 9")),
            "prompt and reply are longer than the model's context "
            "(400: [31mThe maximum context length is 9)",
        ),
        (
            Answer(status=413, body="big"),
            "prompt and reply are longer than the model's context (413: big)",
        ),
        (
            Answer(status=400, body=error(f"bad \x1b[31m {KEY}")),
            "the endpoint refused the call (400: bad [31m [key])",
        ),
        (
            Answer(status=403, body=error("not this")),
            "the endpoint refused the call (403: not this)",
        ),
        (
            Answer(status=403, body=error("no", "content_policy_violation")),
            "the endpoint withheld the reply (403: no)",
        ),
        (
            Answer(finish_reason="content_filter", content=""),
            "the endpoint withheld the reply (content_filter)",
        ),
    ],
)
def test_one_row_is_left_out(
    serve: Serve, make_judge: MakeJudge, answer: Answer, reason: str
) -> None:
    asked = requests(2)
    server = serve(
        lambda body, number: answer if response_of(body) == asked[0].response else Answer()
    )
    judge = make_judge(server, concurrency=1, reply_format="json")
    judged = judge_all(judge, asked)
    assert [each.scores["fluency"].reason for each in judged] == [reason, None]
    assert not judged[0].scores["fluency"].transient
    assert len(server.calls) == 2


# Faults that stop the run


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            Answer(status=401, body=error(f"Incorrect key {KEY}")),
            "refused the key of environment variable TEST_KEY (401: Incorrect key [key])",
        ),
        (Answer(status=403, body=error("no")), "refused the key"),
        (
            Answer(status=402, body=error("Insufficient Balance")),
            "no credit left (402: Insufficient Balance)",
        ),
        (Answer(status=429, body=error("q", "insufficient_quota")), "no credit left (429: q)"),
        (
            Answer(status=400, body='[{"error": {"code": 400, "message": "API key not valid."}}]'),
            "refused the key of environment variable TEST_KEY (400: API key not valid.)",
        ),
        (
            Answer(body='{"error": {"message": "Top up", "code": 402}}'),
            "no credit left (402: Top up)",
        ),
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
