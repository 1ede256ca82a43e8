"""Scores stored in other forms than today's: files of version 1, and lm_eval's sample logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from inspector_plugin.data.eval_logs import is_sample_log, judged_rows
from inspector_plugin.data.scored_rows import read_scored
from inspector_plugin.data.stored_scores import StoredScore, read_stored_scores
from inspector_plugin.errors import DataError
from inspector_plugin.judging.run import judge_all
from inspector_plugin.plugins.registry import create_judge
from inspector_plugin.schema import (
    BINARY,
    MULTICLASS,
    ROSCOE,
    CriterionScore,
    Judgement,
    JudgeRequest,
    unscored,
)

FLUENCY, LOGICALITY = ROSCOE[3], ROSCOE[1]


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


# --- judgement files, version 1


def version_1(
    score: float | None, label: int | None = None, probabilities: Any = None, **more: Any
) -> dict[str, Any]:
    reason = "no score found" if score is None else None
    return {"score": score, "label": label, "probabilities": probabilities, "reason": reason} | more


def version_1_file(folder: Path, *scores: dict[str, Any], labels: str | None = None) -> Path:
    """An output of `inspector score` of version 0.1, with or without OUT.run.json."""
    path = folder / "old.jsonl"
    rows = [
        {"id": n, "question": f"q{n}", "response": "r", "judgements": {"probe": by_aspect}}
        for n, by_aspect in enumerate(scores)
    ]
    if labels is not None:
        run = {
            "inspector_plugin": "0.1.0",
            "judges": {"probe": {"spec": "probe", "labels": labels, "made_of": {}}},
        }
        Path(f"{path}.run.json").write_text(json.dumps(run), encoding="utf-8")
    return write(path, *rows)


@pytest.mark.parametrize("labels", [None, "multiclass"])
def test_version_1_is_on_the_scale_of_the_criterion(tmp_path: Path, labels: str | None) -> None:
    path = version_1_file(
        tmp_path,
        {"fluency": version_1(3.2, 3), "logicality": version_1(None, flags=["passing"])},
        {"fluency": version_1(1.0, 1, explanation="short"), "logicality": version_1(5.0, 5)},
        labels=labels,
    )
    assert [(s.id, s.key, s.score, s.reason, s.scale) for s in read_stored_scores(path)] == [
        ("0", "fluency", 3.2, None, None),
        ("0", "logicality", None, "no score found", None),
        ("1", "fluency", 1.0, None, None),
        ("1", "logicality", 5.0, None, None),
    ]
    assert [(row.criterion, row.score, row.scale) for row in read_scored(path)] == [
        (FLUENCY, 3.2, MULTICLASS),
        (FLUENCY, 1.0, MULTICLASS),
        (LOGICALITY, 5.0, MULTICLASS),
    ]


def test_version_1_with_binary_labels(tmp_path: Path) -> None:
    path = version_1_file(
        tmp_path, {"fluency": version_1(1.0, 1)}, {"fluency": version_1(0.0, 0)}, labels="binary"
    )
    assert [(s.score, s.scale) for s in read_stored_scores(path)] == [(1.0, BINARY), (0.0, BINARY)]
    assert [(row.label, row.is_high) for row in read_scored(path)] == [(1, True), (0, False)]
    requests = [JudgeRequest(f"q{n}", "r", ("fluency",)) for n in range(2)]
    judged = judge_all(create_judge(f"recorded:path={path}"), requests)
    assert [judgement.scores["fluency"].scale for judgement in judged] == [BINARY, BINARY]


def test_version_1_with_probabilities_needs_no_run_file(tmp_path: Path) -> None:
    path = version_1_file(tmp_path, {"fluency": version_1(0.75, 1, {"0": 0.25, "1": 0.75})})
    [stored] = read_stored_scores(path)
    assert (stored.score, stored.scale) == (0.75, BINARY)


@pytest.mark.parametrize("content", ["", "[]", '{"judges": 3}', '{"judges": {"probe": 3}}'])
def test_a_run_file_that_says_nothing_of_labels(tmp_path: Path, content: str) -> None:
    path = version_1_file(tmp_path, {"fluency": version_1(4.0, 4)})
    Path(f"{path}.run.json").write_text(content, encoding="utf-8")
    [stored] = read_stored_scores(path)
    assert stored.scale is None


# --- sample logs


def log_line(responses: list[str], judgements: list[Any], **more: Any) -> dict[str, Any]:
    """A line as lm_eval writes it: each judgement is JSON text."""
    return {
        "doc_id": 0,
        "doc": {"question": "How many?"},
        "target": "72",
        "resps": [responses],
        "filtered_resps": [judgements],
        "filter": "mine",
        "metrics": ["fluency"],
    } | more


def log_entry(score: CriterionScore, **more: Any) -> dict[str, Any]:
    origin = {"id": "task/0", "dataset": "gsm8k", "question": "How many?"}
    return {**Judgement({"fluency": score}).to_json(), **origin, **more}


@pytest.mark.parametrize("as_text", [True, False])
def test_a_sample_log_is_read_like_a_judgement_file(tmp_path: Path, as_text: bool) -> None:
    entries: list[Any] = [
        log_entry(CriterionScore(4.5, 4, scale=MULTICLASS, fingerprint=FLUENCY.fingerprint)),
        log_entry(unscored("the response is empty")),
    ]
    if as_text:
        entries = [json.dumps(entry) for entry in entries]
    path = write(
        tmp_path / "samples.jsonl",
        # A filter of lm_eval's own, whose lines hold answers.
        log_line(["a", "b"], ["72", "73"], filter="strict-match"),
        log_line(["a", "b"], ['{"answer": 72}', "{72}"], filter="json"),
        log_line(["a", "b"], [{"answer": 72}, {"answer": 73}], filter="objects"),
        log_line(["a", "b"], [], filter="first", filtered_resps=["72"]),
        log_line(["a", "b"], entries),
    )
    stored = list(read_stored_scores(path))
    assert stored == [
        StoredScore(
            id="task/0",
            question="How many?",
            response="a",
            key="fluency",
            score=4.5,
            scale=MULTICLASS,
            fingerprint=FLUENCY.fingerprint,
            where=f"{path}, line 5",
        ),
        StoredScore(
            id="task/0",
            question="How many?",
            response="b",
            key="fluency",
            score=None,
            reason="the response is empty",
            where=f"{path}, line 5",
        ),
    ]
    [judgement] = judge_all(
        create_judge(f"recorded:path={path}"), [JudgeRequest("How many?", "a", ("fluency",))]
    )
    assert judgement.scores["fluency"].score == 4.5


def test_a_sample_log_of_judge_and_reference_needs_a_name(tmp_path: Path) -> None:
    entry = json.dumps(log_entry(CriterionScore(4.0, 4)))
    other = json.dumps(log_entry(CriterionScore(2.0, 2)))
    path = write(
        tmp_path / "samples.jsonl",
        log_line(["a"], [entry]),
        log_line(["a"], [other], filter="reference"),
    )
    with pytest.raises(DataError, match="line 2: there are scores by mine, reference"):
        list(read_stored_scores(path))
    assert [stored.score for stored in read_stored_scores(path, "reference")] == [2.0]


def test_what_a_sample_log_is() -> None:
    line = log_line(["a"], ["72"])
    assert is_sample_log(line)
    assert not is_sample_log({key: line[key] for key in line if key != "resps"})
    [row] = judged_rows(log_line(["a"], [log_entry(CriterionScore(4.0, 4))]), "here")
    assert row == {
        "id": "task/0",
        "dataset": "gsm8k",
        "question": "How many?",
        "response": "a",
        "judgements": {"mine": Judgement({"fluency": CriterionScore(4.0, 4)}).to_json()},
    }


@pytest.mark.parametrize(
    "change",
    [
        {"resps": 3},
        {"resps": []},
        {"filtered_resps": None},
        {"filtered_resps": [[{"format_version": 2, "scores": {}}]]},
    ],
)
def test_a_malformed_line_of_a_sample_log(tmp_path: Path, change: dict[str, Any]) -> None:
    line = log_line(["a"], [log_entry(CriterionScore(4.0, 4))], **change)
    path = write(tmp_path / "samples.jsonl", line)
    with pytest.raises(DataError, match=r"samples\.jsonl, line 1: this line of a sample log"):
        list(read_stored_scores(path))
