"""What `inspector score` refuses: flags, arguments and rows that it cannot use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from score_runs import ROWS, digit_folder, error_of, score, write


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with digit_folder(tmp_path, monkeypatch):
        yield tmp_path


def test_a_flag_that_no_judge_knows_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = error_of(capsys, "--keep", "layers")
    assert "--keep: none of the judges (digit) has such an option" in error
    assert not Path("out.jsonl").exists()


def test_the_batch_size_reaches_a_judge_as_text(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score("--batch-size", "7", "--limit", "1") == 0
    error = error_of(capsys, "--batch-size", "8", out="other.jsonl")
    assert "'batch_size': '8'" in error


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not a JSON object"),
        ('{"question": "q"}', "line 2: field 'response' or 'prediction' is missing"),
        ('{"response": "r"}', "line 2: field 'question' is missing"),
        ('{"question": 3, "response": "r"}', "line 2: field 'question' must be text, not int"),
        ('{"question": "q", "response": "r", "dataset": 3}', "field 'dataset' must be text"),
        ('{"question": "q", "response": "r", "judgements": 3}', "'judgements' is not an object"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_bad_rows_are_found_before_judging(
    capsys: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    Path("in.jsonl").write_text(json.dumps(ROWS[0]) + "\n" + line + "\n")
    assert message in error_of(capsys)
    assert not Path("out.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--judge", "digits"), "Did you mean 'digit'?"),
        (("--judge", "digit:size=1"), "Judge 'digit': Unknown option 'size'"),
        (("--judge", "digit", "--judge", "digit"), "Judge 'digit' is given twice"),
        (("--criteria", "fluenzy"), "Unknown criteria 'fluenzy'"),
        (("--aspects", "fluenzy"), "Unknown criteria 'fluenzy'"),
        (("--criteria", "mine.yaml"), "There is no criteria file mine.yaml"),
        (
            ("--criteria", "fluency", "--rubric-field", "kind"),
            "--criteria goes with no --rubric-field",
        ),
        (("--criterion-field", "kind"), "line 1: field 'kind' is missing"),
        (("--criterion-field", "question"), "line 1: Unknown criterion 'What is 0?'"),
        (("--reference", "recorded:path=bad.jsonl"), "line 1: the score must be a number, not nan"),
        (("--out", "in.jsonl"), "is the input itself"),
        (("--out", "out.jsonl.gz"), "plain JSONL"),
        (("--out", "in.jsonl/out.jsonl"), "Cannot write"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_bad_arguments(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    write("bad.jsonl", [ROWS[0] | {"aspect": "fluency", "score": float("nan")}])
    assert message in error_of(capsys, *arguments)
    assert not Path("out.jsonl").exists()


@pytest.mark.usefixtures("folder")
def test_files_without_rows(capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty.jsonl").write_text("\n")
    assert "holds no rows" in error_of(capsys, file="empty.jsonl")
    assert "Cannot read" in error_of(capsys, file="absent.jsonl")


@pytest.mark.parametrize("flag", ["--criterion", "--ref", "--over"])
def test_flags_are_not_abbreviated(capsys: pytest.CaptureFixture[str], flag: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        score(flag, "fluency")
    assert stopped.value.code == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert flag in errors
