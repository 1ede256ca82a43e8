"""Endpoints that are broken or hostile: no key leaks, nothing grows without bound, no traceback."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import logging
import time
import traceback
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from chat_server import USAGE, Answer, completion, error, judgement
from endpoint_judges import KEY, MakeJudge, Serve, reasons, requests

from inspector_plugin.errors import JudgeError
from inspector_plugin.judges.prompt.untrusted import MAX_BYTES, MAX_KEPT_CHARACTERS
from inspector_plugin.judging.run import judge_all

GOOD = judgement(4)
JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

# HTTP that is none, with the key in it

MALFORMED = {
    "status line": b"Bearer KEY HTTP\r\n\r\n",
    "status": b"HTTP/1.1 KEY OK\r\n\r\n",
    "header": b"HTTP/1.1 200 OK\r\nBearer KEY\r\n\r\n",
    "header name": b"HTTP/1.1 200 OK\r\nKEY\x00: 1\r\n\r\n",
    "length": JSON_HEAD + b"Content-Length: KEY\r\n\r\n",
    "chunk size": CHUNKED + b"KEY\r\n\r\n",
    "encoding": JSON_HEAD + b"Content-Encoding: KEY\r\nContent-Length: 2\r\n\r\n{}",
    "gzip": JSON_HEAD + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nKEY",
    "long header": b"HTTP/1.1 200 OK\r\nA: " + b"KEY" * 50_000 + b"\r\n\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED)
def test_malformed_http_is_a_fault_of_its_call_without_the_key(
    serve: Serve, make_judge: MakeJudge, caplog: pytest.LogCaptureFixture, raw: bytes
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = Answer(raw=raw.replace(b"KEY", KEY.encode()))
    server = serve(lambda body, number: answer if number == 0 else Answer())
    assert reasons(make_judge(server), requests(1)) == [None]
    always = serve(lambda body, number: answer)
    with pytest.raises(JudgeError, match="no usable answer") as caught:
        judge_all(make_judge(always), requests(1))
    assert KEY not in "".join(traceback.format_exception(caught.value)) + caplog.text
    assert "\n" not in str(caught.value)


# Answers without end


@contextmanager
def within(seconds: float, mebibytes: float) -> Iterator[None]:
    tracemalloc.start()
    started = time.monotonic()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < mebibytes * 2**20
        assert time.monotonic() - started < seconds
    finally:
        tracemalloc.stop()


def bomb(mebibytes: int) -> bytes:
    packed = gzip.compress(b" " * mebibytes * 2**20)
    return (
        JSON_HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed
    )


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(raw=CHUNKED, endless=b"80000\r\n" + b" " * 0x80000 + b"\r\n"), "longer than 4 MiB"),
        (Answer(raw=JSON_HEAD + b"\r\n", endless=b"[" * 0x80000), "longer than 4 MiB"),
        (Answer(raw=JSON_HEAD, endless=b"A: " + b"a" * 1000 + b"\r\n"), "no usable HTTP answer"),
        (Answer(raw=b"HTTP/1.1 500 X\r\n\r\n", endless=b"x" * 0x80000), "longer than 4 MiB"),
    ],
)
def test_an_answer_without_end(
    serve: Serve, make_judge: MakeJudge, answer: Answer, reason: str
) -> None:
    server = serve(lambda body, number: answer)
    with within(20, 40), pytest.raises(JudgeError, match=reason):
        judge_all(make_judge(server), requests(1))


def test_a_small_answer_that_decompresses_to_a_large_one(
    serve: Serve, make_judge: MakeJudge
) -> None:
    raw = bomb(400)
    server = serve(lambda body, number: Answer(raw=raw))
    with within(20, 40), pytest.raises(JudgeError, match="longer than 4 MiB"):
        judge_all(make_judge(server), requests(1))


def test_compressed_answers_are_read(serve: Serve, make_judge: MakeJudge) -> None:
    packed = gzip.compress(completion({"content": GOOD}).encode())
    head = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    server = serve(lambda body, number: Answer(raw=JSON_HEAD + head + packed))
    assert reasons(make_judge(server), requests(1)) == [None]


def test_the_deadline_holds_while_an_answer_trickles_in(
    serve: Serve, make_judge: MakeJudge
) -> None:
    """Each byte comes in time; all together take for ever."""
    server = serve()

    async def trickle(writer: Any, answer: Answer, response: str) -> bool:
        writer.write(JSON_HEAD + b"Content-Length: 9999999\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    judge_all(judge := make_judge(server, deadline=0.5), requests(1))
    server._write = trickle  # type: ignore[method-assign]
    started = time.monotonic()
    [judged] = judge_all(judge, requests(1))
    assert judged.scores["fluency"].reason == "no answer within the deadline of 0.5 seconds"
    assert judged.scores["fluency"].transient
    assert time.monotonic() - started < 3


def test_of_a_long_reply_only_the_beginning_is_kept(serve: Serve, make_judge: MakeJudge) -> None:
    server = serve(lambda body, number: Answer(content="x" * 1_000_000))
    [judged] = judge_all(make_judge(server), requests(1))
    assert len(judged.scores["fluency"].explanation or "") == MAX_KEPT_CHARACTERS
    assert len(server.calls[2]["messages"][2]["content"]) < MAX_KEPT_CHARACTERS
    assert MAX_BYTES == 4 * 2**20


# Values of no sense


def with_usage(usage: str) -> str:
    return completion({"content": GOOD}).replace(json.dumps(USAGE), usage)


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ('{"prompt_tokens": 400.0, "completion_tokens": 20.0}', (400, 20)),
        ('{"prompt_tokens": -4, "completion_tokens": 2.5}', (0, 0)),
        ('{"prompt_tokens": %s, "completion_tokens": 1e999}' % ("9" * 400), (0, 0)),
        ('{"prompt_tokens": true, "completion_tokens": "7"}', (0, 0)),
        ('{"prompt_tokens": NaN, "completion_tokens": null}', (0, 0)),
        ('{"prompt_tokens": 5, "completion_tokens": 1, "prompt_cache_hit_tokens": 1e9}', (5, 1)),
        ("null", (0, 0)),
        ("[]", (0, 0)),
        ('"many"', (0, 0)),
    ],
)
def test_token_counts(
    serve: Serve, make_judge: MakeJudge, usage: str, tokens: tuple[int, int]
) -> None:
    body = with_usage(usage)
    assert usage in body
    [judged] = judge_all(make_judge(serve(lambda _, n: Answer(body=body))), requests(1))
    assert judged.total == 4
    assert judged.usage is not None
    assert (judged.usage.prompt_tokens, judged.usage.completion_tokens) == tokens
    json.dumps(judged.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    "body",
    [
        "[" * 10_000 + "]" * 10_000,
        '{"choices": ' * 10_000 + "1" + "}" * 10_000,
        '{"choices": [{"message": {"content": ' + "[" * 10_000 + "]" * 10_000 + "}}]}",
        '{"usage": {"prompt_tokens": ' + "9" * 5000 + "}}",
        "\ufeff[]",
        '"\\ud835"',
        '{"error": {"message": "\\ud835\\u0000", "code": 1e999}}',
        '{"error": {"code": -1}, "choices": [[]]}',
        '{"choices": [null]}',
        "\x00",
        "",
    ],
    ids=range(11),
)
def test_json_of_no_sense(serve: Serve, make_judge: MakeJudge, body: str) -> None:
    """A reason or one line in an error, whichever: nothing else is raised."""
    for status in (200, 400, 429, 500):
        server = serve(
            lambda _, number, status=status: (
                Answer(body=body, status=status) if number < 2 else Answer()
            )
        )
        with contextlib.suppress(JudgeError):
            judged = judge_all(make_judge(server), requests(2))
            json.dumps([each.to_json() for each in judged]).encode()


@pytest.mark.parametrize("logprob", ["NaN", "Infinity", "1e9", "0.5", '"-1"', "null", "true", "[]"])
def test_log_probabilities(serve: Serve, make_judge: MakeJudge, logprob: str) -> None:
    top = {"token": "4", "logprob": "LOGPROB"}
    tokens = [{"token": each, "top_logprobs": [top]} for each in ('{"score": ', "4", "}")]
    body = completion({"content": '{"score": 4}'}, logprobs={"content": tokens})
    body = body.replace('"LOGPROB"', logprob)
    server = serve(lambda _, number: Answer(body=body))
    [judged] = judge_all(make_judge(server, logprobs="true"), requests(1))
    score = judged.scores["fluency"]
    assert score.reason == "the answer's log-probabilities are malformed, 3 times"
    assert score.transient


@pytest.mark.parametrize("logprob", ["-Infinity", "-1e308", "-9999.0"])
def test_impossible_candidates(serve: Serve, make_judge: MakeJudge, logprob: str) -> None:
    top = [{"token": "4", "logprob": -0.5}, {"token": "5", "logprob": "LOGPROB"}]
    tokens = [{"token": each, "top_logprobs": top} for each in ('{"score": ', "4", "}")]
    body = completion({"content": '{"score": 4}'}, logprobs={"content": tokens})
    server = serve(lambda _, number: Answer(body=body.replace('"LOGPROB"', logprob)))
    [judged] = judge_all(make_judge(server, logprobs="true"), requests(1))
    assert judged.total == 4


@pytest.mark.parametrize(
    ("reply", "explanation"),
    [
        (r'{"score": 4, "justification": "cut \ud835 off"}', "cut \ufffd off"),
        ('{"score": 4, "justification": "a \\u0000 b"}', "a \x00 b"),
    ],
)
def test_justifications_can_be_stored(
    serve: Serve, make_judge: MakeJudge, reply: str, explanation: str
) -> None:
    server = serve(lambda _, number: Answer(content=reply))
    [judged] = judge_all(make_judge(server), requests(1))
    assert judged.scores["fluency"].explanation == explanation


def test_unpaired_surrogates_in_a_reply_that_is_asked_again(
    serve: Serve, make_judge: MakeJudge
) -> None:
    bad = completion({"content": "five \ud835"})
    server = serve(lambda _, number: Answer(body=bad) if number == 0 else Answer())
    assert reasons(make_judge(server), requests(1)) == [None]
    assert error("\ud835") not in str(server.calls)
    assert server.calls[1]["messages"][2]["content"] == "five \ufffd"
