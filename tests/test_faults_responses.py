"""Rows whose response is missing, no text, or where a sample log has it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from file_faults import MADE_BY, by_number, enter, judged_by_mine, refused, score, write

from inspector_plugin.cli.main import main
from inspector_plugin.data.requests import read_requests
from inspector_plugin.judging.score_file import score_to_file


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return enter(tmp_path, monkeypatch)


def test_a_response_that_is_no_text_is_unscored_with_the_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    responses = ["It is 1", None, ["It is 2"], 5, ["a", "b"], {"a": 1}]
    write("in.jsonl", [{"question": "q", "response": each} for each in responses])
    out, judge = Path("out.jsonl"), by_number()
    for _ in range(2):
        judged = judged_by_mine(read_requests("in.jsonl"), judge, out)
    scores = [each.scores["fluency"] for each in judged]
    assert [each.score for each in scores] == [2, None, 3, None, None, None]
    assert [each.reason for each in scores] == [
        None,
        "the response is missing (null)",
        None,
        "the response is not text but of type int",
        "the response is not text but of type list",
        "the response is not text but of type dict",
    ]
    assert [request.response for request in judge.calls[0]] == ["It is 1", "It is 2"]
    assert [json.loads(line)["response"] for line in out.read_text().splitlines()] == responses
    assert score(judge="recorded:path=out.jsonl", out="again.jsonl") == 0
    assert main(["show", "out.jsonl", "--row", "2"]) == 0


def test_a_sample_log_of_lm_eval_is_judged_by_its_document(
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = {
        "doc_id": 7,
        "doc": {"question": "What is 2+2?"},
        "resps": [["It is 4"]],
        "filtered_resps": ["4"],
        "filter": "strict-match",
    }
    write("in.jsonl", [line, {**line, "doc_id": 8, "resps": []}])
    judge = by_number()
    rows = read_requests("in.jsonl")
    score_to_file(rows, {"mine": judge}, Path("out.jsonl"), MADE_BY)
    (request,) = judge.calls[0]
    assert (request.id, request.question, request.response) == ("7", "What is 2+2?", "It is 4")
    written = [json.loads(each) for each in Path("out.jsonl").read_text().splitlines()]
    assert [(each["id"], each["question"], each["response"]) for each in written] == [
        ("7", "What is 2+2?", "It is 4"),
        ("8", "What is 2+2?", None),
    ]
    assert [each["judgements"]["mine"]["scores"]["fluency"]["score"] for each in written] == [
        5,
        None,
    ]
    assert score(judge="recorded:path=out.jsonl", out="again.jsonl") == 0
    write("in.jsonl", [{**line, "doc": {"problem": "What is 2+2?"}}])
    capsys.readouterr()
    assert "say with --question-field which field" in refused(capsys, score(out="o.jsonl"))
