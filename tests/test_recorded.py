"""The judge `recorded`: stored scores, joined by text."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from inspector_plugin.errors import DataError, OptionError
from inspector_plugin.judges.recorded import NOT_RECORDED
from inspector_plugin.plugins import create_judge
from inspector_plugin.schema import AspectScore, JudgeRequest, unscored
from inspector_plugin.testing import EXAMPLE_REQUESTS, check_judge

ROW = {"id": 1, "question": "What is 2 + 3?", "response": "It is 5.", "aspect": "fluency"}


def write(folder: Path, *rows: dict[str, Any], name: str = "scores.jsonl") -> Path:
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path = folder / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def ask(path: Path, question: str, response: str, labels: str = "multiclass") -> AspectScore:
    with create_judge(f"recorded:path={path},labels={labels}") as judge:
        [judgement] = judge.judge([JudgeRequest(question, response, ("fluency",))])
    return judgement.aspects["fluency"]


@pytest.mark.parametrize(
    ("score", "labels", "expected"),
    [
        (4, "multiclass", AspectScore(4.0, 4)),
        (3.5, "multiclass", AspectScore(3.5, 4)),
        (2.3333, "multiclass", AspectScore(2.3333, 2)),
        (3, "binary", AspectScore(0.0, 0)),
        (3.3, "binary", AspectScore(1.0, 1)),
        (5, "binary", AspectScore(1.0, 1)),
    ],
)
def test_score_and_label(tmp_path: Path, score: float, labels: str, expected: AspectScore) -> None:
    path = write(tmp_path, ROW | {"score": score}, name="scores.jsonl.gz")
    assert ask(path, ROW["question"], ROW["response"], labels) == expected


@pytest.mark.parametrize(
    ("question", "response", "found"),
    [
        (" What is 2 + 3?\n", "\tIt is 5. ", True),
        ("What is 2 + 3?", "It  is 5.", False),
        ("what is 2 + 3?", "It is 5.", False),
        ("What is 2 + 3?", "It is 6.", False),
    ],
)
def test_joined_by_text(tmp_path: Path, question: str, response: str, found: bool) -> None:
    path = write(tmp_path, ROW | {"score": 2, "response": "It is 5.\n"})
    expected = AspectScore(2.0, 2) if found else unscored(NOT_RECORDED)
    assert ask(path, question, response) == expected


def test_aspects_that_are_not_recorded_are_unscored(tmp_path: Path) -> None:
    prediction = {"prediction" if key == "response" else key: ROW[key] for key in ROW}
    path = write(tmp_path, prediction | {"score": 2}, prediction | {"score": 2.0})
    judge = create_judge(f"recorded:path={path}")
    [judgement] = judge.judge([JudgeRequest(ROW["question"], ROW["response"])])
    scores = {key: score.score for key, score in judgement.aspects.items()}
    assert scores.pop("fluency") == 2
    assert set(scores.values()) == {None}
    assert judge.describe() == {
        "path": str(path),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "scores": 1,
        "labels": "multiclass",
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": float("nan")}, "score must be a number from 1 to 5, not nan"),
        ({"score": float("inf")}, "not inf"),
        ({"score": 0}, "not 0"),
        ({"score": 5.1}, "not 5.1"),
        ({"score": "4"}, "not '4'"),
        ({"score": True}, "not True"),
        ({"score": None}, "not None"),
        ({"score": 10**400}, "not 1000"),
        ({"score": 1}, "fluency of this response is scored 1, but 4 in an earlier line"),
        ({"aspect": "fluenzy"}, "Unknown aspect 'fluenzy'.*Did you mean 'fluency'"),
        ({"question": None}, "field 'question' must be text, not NoneType"),
    ],
)
def test_bad_rows_name_file_and_line(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    row = ROW | {"score": 4}
    path = write(tmp_path, row, row | change)
    with pytest.raises(DataError, match=rf"scores\.jsonl, line 2: .*{message}"):
        create_judge(f"recorded:path={path}")


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("question", "field 'question' is missing"),
        ("response", "field 'response' or 'prediction' is missing"),
        ("aspect", "field 'aspect' is missing"),
        ("score", "score must be a number from 1 to 5, not None"),
    ],
)
def test_missing_fields(tmp_path: Path, field: str, message: str) -> None:
    row = {key: value for key, value in (ROW | {"score": 4}).items() if key != field}
    with pytest.raises(DataError, match=f"line 1: .*{message}"):
        create_judge(f"recorded:path={write(tmp_path, row)}")


def test_missing_file_and_missing_path(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Cannot read .*absent"):
        create_judge(f"recorded:path={tmp_path / 'absent.jsonl'}")
    for spec in ("recorded", "recorded:path="):
        with pytest.raises(OptionError, match="recorded:path=FILE"):
            create_judge(spec)


@pytest.mark.parametrize("labels", ["multiclass", "binary"])
def test_contract(tmp_path: Path, labels: str) -> None:
    rows = [
        {"question": r.question, "response": r.response, "aspect": aspect, "score": score}
        for score, r in enumerate(EXAMPLE_REQUESTS[:-1], start=2)
        for aspect in r.aspects
    ]
    check_judge(create_judge(f"recorded:path={write(tmp_path, *rows)},labels={labels}"))
