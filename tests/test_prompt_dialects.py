"""Dialects of OpenAI-compatible servers: what they refuse in a call, and how they write answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from chat_server import Answer, Script, error
from endpoint_judges import MakeJudge, Serve, reasons, requests

from inspector_plugin.errors import JudgeError
from inspector_plugin.judging.run import judge_all
from inspector_plugin.lm.chats import fold_system

FORMAT = "response_format"


def unless(is_taken: Callable[[dict[str, Any]], bool], refused: Answer) -> Script:
    """Refuse the calls whose body is not taken."""
    return lambda body, number: Answer() if is_taken(body) else refused


def format_of(body: dict[str, Any]) -> str:
    return str(body.get(FORMAT, {}).get("type", "text"))


def has_system(body: dict[str, Any]) -> bool:
    return any(message["role"] == "system" for message in body["messages"])


# What a call may hold


@pytest.mark.parametrize(
    "words",
    [
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
        "'max_completion_tokens' instead.",
        "Unsupported parameter: max_tokens",
    ],
)
def test_max_completion_tokens(serve: Serve, make_judge: MakeJudge, words: str) -> None:
    refused = Answer(status=400, body=error(words, "unsupported_parameter"))
    server = serve(unless(lambda body: "max_tokens" not in body, refused))
    assert reasons(make_judge(server, max_tokens=99, concurrency=1), requests(3)) == [None] * 3
    assert len(server.calls) == 4  # learnt from the first, kept for all others
    assert server.calls[1]["max_completion_tokens"] == 99


def test_a_limit_that_is_too_high_is_not_a_field_that_is_not_taken(
    serve: Serve, make_judge: MakeJudge
) -> None:
    words = "max_tokens is too large: 1024. This model supports at most 512 completion tokens."
    server = serve(lambda body, number: Answer(status=400, body=error(words)))
    with pytest.raises(JudgeError, match="max_tokens is too large"):
        judge_all(make_judge(server, reply_format="json"), requests(4))
    assert all("max_tokens" in body for body in server.calls)


def test_no_temperature(
    serve: Serve, make_judge: MakeJudge, caplog: pytest.LogCaptureFixture
) -> None:
    words = "Unsupported value: 'temperature' does not support 0 with this model."
    refused = Answer(status=400, body=error(words))
    server = serve(unless(lambda body: "temperature" not in body, refused))
    assert reasons(make_judge(server, concurrency=4), requests(8)) == [None] * 8
    assert len(server.calls) <= 12
    assert [r.levelname for r in caplog.records if "replies are sampled" in r.message] == [
        "WARNING"
    ]


@pytest.mark.parametrize(
    "words",
    [
        "System role not supported",
        "Developer instruction is not enabled for models/gemma-3-27b-it",
        "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
        "Only user and assistant roles are supported!",
        "Conversation roles must alternate user/assistant/user/assistant/...",
        "messages.0.role: Input should be 'user' or 'assistant'",
    ],
)
def test_no_system_role(serve: Serve, make_judge: MakeJudge, words: str) -> None:
    server = serve(unless(lambda body: not has_system(body), Answer(status=400, body=error(words))))
    assert reasons(make_judge(server, concurrency=1), requests(2)) == [None, None]
    assert len(server.calls) == 3
    system, user = server.calls[0]["messages"]
    [folded] = server.calls[1]["messages"]
    assert folded == {"role": "user", "content": f"{system['content']}\n\n{user['content']}"}


def test_several_fields_at_once(serve: Serve, make_judge: MakeJudge) -> None:
    def script(body: dict[str, Any], number: int) -> Answer:
        faults = {
            "use max_completion_tokens": "max_tokens" in body,
            "temperature is not supported": "temperature" in body,
            "the system role is not supported": has_system(body),
            "json_schema is not supported": format_of(body) == "json_schema",
        }
        said = [words for words, is_there in faults.items() if is_there]
        return Answer(status=400, body=error(said[0])) if said else Answer()

    server = serve(script)
    assert reasons(make_judge(server, concurrency=3), requests(6)) == [None] * 6
    assert len(server.calls) <= 6 + 4 * 3


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (422, json.dumps({"detail": [{"loc": ["body", FORMAT, "type"], "msg": "unexpected"}]})),
        (422, json.dumps({"error": "unknown variant `json_schema`", "error_type": "validation"})),
        (400, json.dumps({"error": f"'{FORMAT}.type' must be 'json_object' or 'text'"})),
        (400, json.dumps([{"error": {"message": "Invalid grammar", "status": "INVALID"}}])),
        (400, json.dumps({"object": "error", "message": "compile_json_schema_to_grammar failed"})),
        (400, f"<html><head><title>400</title></head><body>{FORMAT}</body></html>"),
        (500, json.dumps({"error": {"message": "structured outputs are off"}})),
        # Not a word of formats: tried without a schema, since nothing has been answered yet.
        (400, json.dumps({"error": {"message": "Bad Request"}})),
        (400, ""),
    ],
)
def test_a_schema_refused_in_any_words_is_json_mode_from_then_on(
    serve: Serve, make_judge: MakeJudge, status: int, body: str
) -> None:
    refused = Answer(status=status, body=body)
    server = serve(unless(lambda body: format_of(body) != "json_schema", refused))
    assert reasons(make_judge(server, concurrency=1), requests(3)) == [None] * 3
    assert [format_of(body) for body in server.calls] == ["json_schema", *["json_object"] * 3]


def test_what_is_tried_for_one_call_is_kept_only_if_it_helps(
    serve: Serve, make_judge: MakeJudge
) -> None:
    """The first response is refused with and without a schema: it is not the schema."""
    asked = requests(2)
    refused = Answer(status=400, body=error("Bad Request"))
    server = serve(
        lambda body, number: refused if asked[1].response not in str(body["messages"]) else Answer()
    )
    found = reasons(make_judge(server, concurrency=1), asked)
    assert found == ["the endpoint refused the call (400: Bad Request)", None]
    assert [format_of(body) for body in server.calls] == [
        "json_schema",
        "json_object",
        "json_schema",
    ]


def test_extra_fields(serve: Serve, make_judge: MakeJudge) -> None:
    server = serve()
    extra = '{"temperature": 1, "chat_template_kwargs": {"enable_thinking": false}, "seed": 7}'
    judge = make_judge(server, extra_body=extra)
    assert reasons(judge, requests(1)) == [None]
    body = server.calls[0]
    assert (body["temperature"], body["seed"]) == (1, 7)
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert judge.describe()["extra_body"] == json.loads(extra)
    # Judgements cached before there was this option keep their keys.
    assert "extra_body" not in make_judge(server).describe()


def test_folding() -> None:
    system, user, other = ({"role": r, "content": r} for r in ("system", "user", "assistant"))
    folded = {"role": "user", "content": "system\n\nuser"}
    assert fold_system([system, user, other]) == [folded, other]
    assert fold_system([user, other]) == [user, other]
    assert fold_system([system]) == [system]
