"""Stored scores: one reader for judgement files, short rows and sample logs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inspector_plugin.agreement.compare import agreement_by_criterion
from inspector_plugin.data.requests import RequestForm, RequestRow, read_requests
from inspector_plugin.data.scored_rows import ScoredRow, data_sha256, problems_of, read_scored
from inspector_plugin.data.stored_scores import StoredScore, read_stored_scores
from inspector_plugin.errors import DataError
from inspector_plugin.judging.judge import Judge
from inspector_plugin.judging.run import judge_all
from inspector_plugin.judging.score_file import score_to_file
from inspector_plugin.plugins.registry import create_judge
from inspector_plugin.schema import (
    BINARY,
    MULTICLASS,
    ROSCOE,
    Criterion,
    CriterionScore,
    Judgement,
    JudgeRequest,
    Scale,
    unscored,
)
from inspector_plugin.testing import ScriptedJudge

SEVEN = Scale((1, 2, 3, 4, 5, 6, 7))
CARE = Criterion("care", definition="It checks its steps.", scale=SEVEN)
FLUENCY, LOGICALITY = ROSCOE[3], ROSCOE[1]
CRITERIA = (LOGICALITY, FLUENCY, CARE)
BY_RESPONSE: dict[str, dict[str, CriterionScore]] = {
    "one": {
        "logicality": CriterionScore(3.2, 3, {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.2, 5: 0.2}),
        "fluency": CriterionScore(2.5, 2, explanation="rough", flags=("truncated",)),
        "care": CriterionScore(6.5, 7),
    },
    "two": {
        "logicality": CriterionScore(3.0, 3),
        "fluency": unscored("no score found"),
        "care": CriterionScore(4.25, 4),
    },
}


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def scripted() -> Judge:
    return ScriptedJudge(lambda request, key: BY_RESPONSE[request.response][key], None)


def asked() -> list[RequestRow]:
    return [
        RequestRow(
            {"question": "q", "response": response, "id": number},
            JudgeRequest("q", response, CRITERIA, id=str(number)),
        )
        for number, response in enumerate(BY_RESPONSE)
    ]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A judgement file of one judge, as `inspector score` writes it."""
    out = tmp_path / "out.jsonl"
    score_to_file(asked(), {"mine": scripted()}, out, {"input": "x"})
    return out


# --- judgement files, version 2


def test_a_judgement_file_says_all_that_was_judged(file: Path) -> None:
    stored = list(read_stored_scores(file))
    assert [(s.response, s.key, s.score, s.scale) for s in stored] == [
        ("one", "logicality", 3.2, MULTICLASS),
        ("one", "fluency", 2.5, MULTICLASS),
        ("one", "care", 6.5, SEVEN),
        ("two", "logicality", 3.0, MULTICLASS),
        ("two", "fluency", None, MULTICLASS),
        ("two", "care", 4.25, SEVEN),
    ]
    assert stored[1] == StoredScore(
        id="0",
        question="q",
        response="one",
        key="fluency",
        score=2.5,
        scale=MULTICLASS,
        fingerprint=FLUENCY.fingerprint,
        explanation="rough",
        where=f"{file}, line 1",
    )
    assert stored[4].reason == "no score found"
    assert [s.fingerprint for s in stored[:3]] == [c.fingerprint for c in CRITERIA]


def test_recorded_gives_the_very_same_scores(file: Path) -> None:
    requests = [row.request for row in asked()]
    judged = judge_all(scripted(), requests)
    recorded = judge_all(create_judge(f"recorded:path={file}"), requests)
    for ours, theirs in zip(judged, recorded, strict=True):
        assert tuple(ours.scores) == tuple(theirs.scores)
        for key, score in ours.scores.items():
            again = theirs.scores[key]
            assert (again.score, again.scale, again.fingerprint, again.explanation) == (
                score.score,
                score.scale,
                score.fingerprint,
                score.explanation,
            )
    # A mean of 2.5 is nearest to 3, whatever the likeliest label was.
    assert recorded[0].scores["fluency"].label == 3
    assert recorded[1].scores["fluency"].reason == "the file holds no score: no score found"


@pytest.mark.parametrize("step", [1, 0.5, 0.2, 0.1])
def test_binary_labels_agree_with_the_scores_that_they_come_from(
    tmp_path: Path, step: float
) -> None:
    values = [round(1 + step * n, 4) for n in range(int(4 / step) + 1)]
    rows = [
        {"question": str(n), "response": "r", "criterion": "fluency", "score": value}
        for n, value in enumerate(values)
    ]
    path = write(tmp_path / "scores.jsonl", *rows)
    requests = [JudgeRequest(row["question"], "r", ("fluency",)) for row in rows]
    own = judge_all(create_judge(f"recorded:path={path}"), requests)
    binary = judge_all(create_judge(f"recorded:path={path},labels=binary"), requests)
    assert [judgement.scores["fluency"].score for judgement in own] == values
    assert [judgement.scores["fluency"].label for judgement in binary] == [
        int(value > 3) for value in values
    ]
    for judge, reference in ((binary, own), (own, binary), (binary, binary)):
        result = agreement_by_criterion(judge, reference, range(len(values)), resamples=0)
        assert result["fluency"].n == len(values)
        accuracy = result["fluency"].statistics["accuracy"]
        assert accuracy is not None
        assert accuracy.value == 1.0


def test_a_half_is_rounded_up_wherever_it_is_read(tmp_path: Path) -> None:
    row = {"question": "q", "response": "r", "criterion": "fluency", "score": 2.5}
    path = write(tmp_path / "scores.jsonl", row)
    [judgement] = create_judge(f"recorded:path={path}").judge([JudgeRequest("q", "r", (FLUENCY,))])
    [scored] = read_scored(path)
    assert judgement.scores["fluency"].label == scored.label == 3
    assert not scored.is_high
    assert replace(scored, score=3.2).is_high


def test_several_judges_need_a_name(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    other = ScriptedJudge(lambda request, key: 1.0, BINARY)
    score_to_file(asked(), {"mine": scripted(), "other": other}, out, {})
    with pytest.raises(DataError, match=r"line 1: .* mine, other; say whose .*--scored-by NAME"):
        list(read_stored_scores(out))
    with pytest.raises(DataError, match=r"Unknown judge of this file 'min'.*Did you mean 'mine'"):
        list(read_stored_scores(out, "min"))
    assert [stored.score for stored in read_stored_scores(out, "mine")][:3] == [3.2, 2.5, 6.5]
    assert {(s.score, s.scale) for s in read_stored_scores(out, "other")} == {(1.0, BINARY)}
    with pytest.raises(DataError, match="scored_by=NAME"):
        create_judge(f"recorded:path={out}")
    with create_judge(f"recorded:path={out},scored_by=other") as judge:
        assert judge.describe()["scored_by"] == "other"
        [judgement] = judge_all(judge, [JudgeRequest("q", "one", (CARE,))])
    assert (judgement.scores["care"].score, judgement.scores["care"].scale) == (1.0, BINARY)


def test_a_second_judge_further_down_needs_a_name_too(tmp_path: Path) -> None:
    judgement = Judgement({"fluency": CriterionScore(3.0, 3)}).to_json()
    rows = [{"question": "q", "response": "r", "judgements": {name: judgement}} for name in "ab"]
    path = write(tmp_path / "out.jsonl", *rows)
    with pytest.raises(DataError, match="line 2: there are scores by a, b"):
        list(read_stored_scores(path))
    assert [stored.where for stored in read_stored_scores(path, "b")] == [f"{path}, line 2"]


@pytest.mark.parametrize(
    ("judgements", "message"),
    [
        ([], "field 'judgements' is not an object"),
        ({"mine": 3}, r"its judgements cannot be read \(a judgement must be an object, not 3\)"),
        ({"mine": {"fluency": []}}, r"a score must be an object, not \[\]"),
        (
            {"mine": {"fluency": {"score": 3, "label": 3, "members": {"a": 5}}}},
            "a score must be an object, not 5",
        ),
        (
            {"mine": {"fluency": {"score": 3, "label": 3, "probabilities": [1]}}},
            r"probabilities must be an object, not \[1\]",
        ),
        ({"mine": {"fluency": {"score": 3, "label": 3, "flags": None}}}, "a list of texts"),
        ({"mine": {"format_version": 3, "scores": {}}}, "format_version 3 is not one that"),
        ({"mine": {"format_version": 2}}, r"cannot be read \('scores'\)"),
        ({"mine": {"fluency": {"score": 3}}}, r"cannot be read \('label'\)"),
        ({"mine": {"fluency": {"score": None, "label": None}}}, "score or a reason"),
        (
            {"mine": {"fluency": {"score": "3", "label": 3}}},
            "line 1: its judgements cannot be read",
        ),
        ({"mine": {"fluency": {"score": True, "label": 1}}}, "must be a number, not True"),
        ({"mine": {"fluency": {"score": 1, "label": 1, "scale": [1, 3]}}}, "consecutive"),
        (
            {"mine": {"fluency": {"score": 1, "label": 1, "probabilities": {"1": 0.5, "5": 0.5}}}},
            "the probabilities of 'fluency': .*consecutive",
        ),
    ],
)
def test_malformed_judgements_name_the_line(
    tmp_path: Path, judgements: object, message: str
) -> None:
    row = {"question": "q", "response": "r", "judgements": judgements}
    path = write(tmp_path / "out.jsonl", row)
    with pytest.raises(DataError, match=message) as error:
        list(read_stored_scores(path))
    assert str(error.value).startswith(f"{path}, line 1: ")


# --- short rows


@pytest.mark.parametrize("field", ["criterion", "aspect"])
@pytest.mark.parametrize("response", ["response", "prediction"])
def test_short_rows(tmp_path: Path, field: str, response: str) -> None:
    path = write(
        tmp_path / "scores.jsonl",
        {"id": 7, "question": "q", response: "r", field: "fluency", "score": 4},
        {"question": "q", response: "r", field: "care", "score": 6.5, "scale": list(SEVEN.labels)},
        {"question": "q", response: "s", field: "care", "score": 1, "fingerprint": "f00"},
    )
    where = f"{path}, line"
    assert list(read_stored_scores(path)) == [
        StoredScore("7", "q", "r", "fluency", 4.0, where=f"{where} 1"),
        StoredScore("q", "q", "r", "care", 6.5, scale=SEVEN, where=f"{where} 2"),
        StoredScore("q", "q", "s", "care", 1.0, fingerprint="f00", where=f"{where} 3"),
    ]


STORED = StoredScore("q", "q", "r", "care", 6.5)


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (STORED, None),
        (replace(STORED, scale=SEVEN, fingerprint=CARE.fingerprint), None),
        (replace(STORED, score=0.5, scale=BINARY), None),
        (replace(STORED, score=None, reason="no"), None),
        (replace(STORED, score=7.5), "the stored score 7.5 is outside the scale 1-7"),
        (replace(STORED, scale=BINARY), "the stored score 6.5 is outside the scale 0-1"),
        (
            replace(STORED, score=3, scale=MULTICLASS),
            "the stored score is on 1-5, the criterion on 1-7",
        ),
        (
            replace(STORED, fingerprint="f00"),
            "the stored score is for another criterion of the key 'care' (fingerprint f00, asked "
            f"for {CARE.fingerprint})",
        ),
    ],
)
def test_why_a_score_is_none_on_a_criterion(stored: StoredScore, reason: str | None) -> None:
    assert stored.misfit(CARE) == reason


# --- scores to learn from


def test_scores_to_learn_from(file: Path) -> None:
    rows = read_scored(file, CRITERIA)
    # The unscored one is left out.
    assert [(row.criterion.key, row.score, row.label, row.is_high) for row in rows] == [
        ("logicality", 3.2, 3, True),
        ("fluency", 2.5, 3, False),
        ("care", 6.5, 7, True),
        ("logicality", 3.0, 3, False),
        ("care", 4.25, 4, True),
    ]
    assert rows[2] == ScoredRow("0", "q", "one", CARE, 6.5, SEVEN)
    assert problems_of(rows) == ["0"] * 5  # one question, though two ids
    assert data_sha256(rows) != data_sha256(rows[:-1])
    assert data_sha256(rows) == data_sha256(read_scored(file, CRITERIA))


@pytest.mark.parametrize(
    ("criteria", "message"),
    [
        (None, "line 1: Unknown criterion 'care'.* Give the criteria of this file with --crit"),
        (
            (*ROSCOE, replace(CARE, definition="It checks.")),
            "line 1: the stored score is for another criterion .*; give the file's own with",
        ),
    ],
)
def test_scores_on_other_criteria_cannot_be_learnt_from(
    file: Path, criteria: tuple[Criterion, ...] | None, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_scored(file, criteria)


def test_chosen_criteria_leave_the_scores_on_others_out(file: Path) -> None:
    assert {row.criterion for row in read_scored(file, (CARE,))} == {CARE}
    assert not any(row.criterion == CARE for row in read_scored(file, ROSCOE))


def test_scores_outside_the_scale_cannot_be_learnt_from(tmp_path: Path) -> None:
    row = {"question": "q", "response": "r", "aspect": "fluency", "score": 6}
    with pytest.raises(DataError, match="line 1: the stored score 6 is outside the scale 1-5"):
        read_scored(write(tmp_path / "scores.jsonl", row))


# --- files to be judged


def test_a_judgement_file_that_was_changed_is_not_resumed(file: Path) -> None:
    text = file.read_text("utf-8")
    file.write_text(text.replace("[1, 2, 3, 4, 5]", "[1, 2, 3, 5]", 1), encoding="utf-8")
    with pytest.raises(DataError, match=r"out\.jsonl, line 1: not a line that this run wrote"):
        score_to_file(asked(), {"mine": scripted()}, file, {"input": "x"})


def test_a_judgement_file_can_be_judged_again(file: Path, tmp_path: Path) -> None:
    rows = read_requests(file, RequestForm(criteria=(FLUENCY,), dataset="mine"))
    assert [(row.request.id, row.request.dataset, row.request.keys) for row in rows] == [
        ("0", "mine", ("fluency",)),
        ("1", "mine", ("fluency",)),
    ]
    out = tmp_path / "both.jsonl"
    score_to_file(rows, {"again": ScriptedJudge(lambda request, key: 5.0)}, out, {})
    assert [stored.score for stored in read_stored_scores(out, "again")] == [5.0, 5.0]
    assert [stored.score for stored in read_stored_scores(out, "mine")][:3] == [3.2, 2.5, 6.5]
