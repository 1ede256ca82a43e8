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
from inspector_plugin.judging.run import judge_all
from inspector_plugin.plugins.registry import create_judge
from inspector_plugin.schema import (
    BINARY,
    MULTICLASS,
    Criterion,
    CriterionScore,
    JudgeRequest,
    Scale,
    unscored,
)
from inspector_plugin.testing import EXAMPLE_REQUESTS, check_judge

ROW = {"id": 1, "question": "What is 2 + 3?", "response": "It is 5.", "aspect": "fluency"}


def write(folder: Path, *rows: dict[str, Any], name: str = "scores.jsonl") -> Path:
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path = folder / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def ask(path: Path, question: str, response: str, labels: str = "multiclass") -> CriterionScore:
    with create_judge(f"recorded:path={path},labels={labels}") as judge:
        [judgement] = judge.judge([JudgeRequest(question, response, ("fluency",))])
    return judgement.scores["fluency"]


@pytest.mark.parametrize(
    ("score", "labels", "expected"),
    [
        (4, "multiclass", CriterionScore(4.0, 4, scale=MULTICLASS)),
        (3.5, "multiclass", CriterionScore(3.5, 4, scale=MULTICLASS)),
        (2.3333, "multiclass", CriterionScore(2.3333, 2, scale=MULTICLASS)),
        (3, "binary", CriterionScore(0.0, 0, scale=BINARY)),
        (2.5, "multiclass", CriterionScore(2.5, 3, scale=MULTICLASS)),
        (3.2, "binary", CriterionScore(1.0, 1, scale=BINARY)),
        (3.3, "binary", CriterionScore(1.0, 1, scale=BINARY)),
        (5, "binary", CriterionScore(1.0, 1, scale=BINARY)),
    ],
)
def test_score_and_label(
    tmp_path: Path, score: float, labels: str, expected: CriterionScore
) -> None:
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
    expected = CriterionScore(2.0, 2, scale=MULTICLASS) if found else unscored(NOT_RECORDED)
    assert ask(path, question, response) == expected


def test_criteria_that_are_not_recorded_are_unscored(tmp_path: Path) -> None:
    prediction = {"prediction" if key == "response" else key: ROW[key] for key in ROW}
    path = write(tmp_path, prediction | {"score": 2}, prediction | {"score": 2.0})
    judge = create_judge(f"recorded:path={path}")
    [judgement] = judge.judge([JudgeRequest(ROW["question"], ROW["response"])])
    scores = {key: score.score for key, score in judgement.scores.items()}
    assert scores.pop("fluency") == 2
    assert set(scores.values()) == {None}
    assert judge.describe() == {
        "path": str(path),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "scored_by": None,
        "scores": 1,
        "labels": "multiclass",
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": float("nan")}, "score must be a number, not nan"),
        ({"score": float("inf")}, "not inf"),
        ({"score": "4"}, "not '4'"),
        ({"score": True}, "not True"),
        ({"score": None}, "not None"),
        ({"score": 10**400}, "not 1000"),
        ({"score": 1}, "fluency of this response is scored 1, but 4 in an earlier line"),
        ({"aspect": 7}, "field 'aspect' must be text, not int"),
        ({"scale": [1, 3]}, "field 'scale': .*consecutive"),
        ({"scale": 5}, "field 'scale'"),
        ({"question": None}, "field 'question' must be text, not NoneType"),
    ],
)
def test_bad_rows_name_file_and_line(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    row = ROW | {"score": 4}
    path = write(tmp_path, row, row | change)
    with pytest.raises(DataError, match=rf"scores\.jsonl, line 2: .*{message}"):
        create_judge(f"recorded:path={path}")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"score": 0}, "the stored score 0 is outside the scale 1-5"),
        ({"score": 5.1}, "the stored score 5.1 is outside the scale 1-5"),
        ({"score": 2, "scale": [0, 1]}, "the stored score 2 is outside the scale 0-1"),
        ({"scale": [1, 2, 3]}, "the stored score is on 1-3, the criterion on 1-5"),
        ({"fingerprint": "f00"}, "the stored score is for another criterion of the key 'fluency'"),
        ({"aspect": "fluenzy"}, NOT_RECORDED),
    ],
)
@pytest.mark.parametrize("labels", ["multiclass", "binary"])
def test_what_is_no_score_on_the_criterion_is_unscored(
    tmp_path: Path, change: dict[str, Any], reason: str, labels: str
) -> None:
    path = write(tmp_path, ROW | {"score": 1} | change)
    score = ask(path, ROW["question"], ROW["response"], labels)
    assert (score.score, (score.reason or "").partition(" (")[0]) == (None, reason)


def test_each_score_on_its_own_scale(tmp_path: Path) -> None:
    seven = Scale((1, 2, 3, 4, 5, 6, 7))
    care = Criterion("care", definition="It checks its steps.", scale=seven)
    row = {key: ROW[key] for key in ("question", "response")}
    path = write(
        tmp_path,
        row | {"criterion": "care", "score": 4.5},
        row | {"criterion": "fluency", "score": 1, "scale": [0, 1]},
    )
    asked = [JudgeRequest(ROW["question"], ROW["response"], (care, "fluency"))]
    [own] = judge_all(create_judge(f"recorded:path={path}"), asked)
    assert [(s.score, s.label, s.scale) for s in own.scores.values()] == [
        (4.5, 5, seven),
        (1, 1, BINARY),
    ]
    [binary] = judge_all(create_judge(f"recorded:path={path},labels=binary"), asked)
    assert [(s.score, s.scale) for s in binary.scores.values()] == [(1, BINARY), (1, BINARY)]


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("question", "field 'question' is missing"),
        ("response", "field 'response' or 'prediction' is missing"),
        ("aspect", "field 'criterion' or 'aspect' is missing"),
        ("score", "score must be a number, not None"),
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
        for score, r in enumerate(EXAMPLE_REQUESTS[:3], start=2)
        for aspect in r.keys
    ]
    on_seven = EXAMPLE_REQUESTS[-1]
    row = {"question": on_seven.question, "response": on_seven.response, "score": 6.5}
    rows.append(row | {"criterion": "care", "scale": [1, 2, 3, 4, 5, 6, 7]})
    check_judge(create_judge(f"recorded:path={write(tmp_path, *rows)},labels={labels}"))
