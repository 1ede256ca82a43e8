"""What `inspector score` writes and prints: judgements beside their rows, counts and agreement."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from score_runs import INSPECTOR, ROWS, digit_folder, environment, read, score, write

from inspector_plugin.cli.main import main
from inspector_plugin.schema import ROSCOE, ROSCOE_KEYS


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with digit_folder(tmp_path, monkeypatch):
        yield tmp_path


def test_every_output_line_is_the_input_line_and_its_judgements(folder: Path) -> None:
    assert score("--criteria", "fluency,logicality") == 0
    lines = read()
    assert [{k: v for k, v in line.items() if k != "judgements"} for line in lines] == ROWS
    expected = {
        "score": 3.0,
        "label": 3,
        "scale": [1, 2, 3, 4, 5],
        "probabilities": {"1": 0.0, "2": 0.0, "3": 1.0, "4": 0.0, "5": 0.0},
    }
    usage = lines[3]["judgements"]["digit"].pop("usage")
    assert lines[3]["judgements"] == {
        "digit": {
            "format_version": 2,
            "scores": {
                "logicality": {**expected, "fingerprint": ROSCOE[1].fingerprint},
                "fluency": {**expected, "fingerprint": ROSCOE[3].fingerprint},
            },
        }
    }
    assert usage == {
        "calls": 1,
        "prompt_tokens": 0,
        "cached_prompt_tokens": 0,
        "completion_tokens": 0,
        "seconds": 0.0,
        "money": 0.0,
        "reused": 0,
    }


def test_own_columns_survive_and_a_judged_file_is_read_by_recorded(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = {"usage": {"digit": "mine"}, "scores": 3, "digit": "theirs", "format_version": 9}
    write("in.jsonl", [row | own for row in ROWS[:7]])
    assert score() == 0
    assert [{k: row[k] for k in row if k != "judgements"} for row in read()] == [
        row | own for row in ROWS[:7]
    ]
    again = ("--judge", "recorded:path=out.jsonl", "--reference", "digit")
    assert score(*again, out="again.jsonl", file="out.jsonl", summary="again.json") == 0
    for first, second in zip(read(), read("again.jsonl"), strict=True):
        assert second | {"judgements": 0} == first | {"judgements": 0}
        given = {
            name: {key: each["score"] for key, each in second["judgements"][name]["scores"].items()}
            for name in ("digit", "recorded")
        }
        assert given["recorded"] == given["digit"]
        assert set(given["digit"].values()) == {float(min(max(first["id"], 1), 5))}
    overall = json.loads(Path("again.json").read_text())["judges"]["recorded"]["agreement"]
    assert overall["overall"]["accuracy"]["value"] == 1


@pytest.mark.parametrize("flag", ["--criterion-field", "--aspect-field"])
def test_criterion_field_judges_one_criterion(folder: Path, flag: str) -> None:
    write("in.jsonl", [row | {"kind": ROSCOE_KEYS[row["id"] % 5]} for row in ROWS])
    assert score(flag, "kind", "--limit", "5") == 0
    judged = [line["judgements"]["digit"]["scores"] for line in read()]
    assert [list(scores) for scores in judged] == [[key] for key in ROSCOE_KEYS]


def test_unscored_rows_are_counted_and_hostile_text_is_not_printed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("in.jsonl", [*ROWS[:2], ROWS[2] | {"prediction": " "}, ROWS[3] | {"prediction": "x"}])
    assert score("--criteria", "fluency", "--summary", "summary.json") == 0
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "[red]x" in printed
    assert "digit, this run: 3 calls" in printed
    assert max(map(len, printed.splitlines())) <= 80
    summary = json.loads(Path("summary.json").read_text())
    assert summary["judges"]["digit"]["usage"]["calls"] == 3
    assert summary["judges"]["digit"]["criteria"]["fluency"] == {
        "asked": 4,
        "scored": 2,
        "coverage": 0.5,
        "mean": 1.0,
        "stderr": 0.0,
        "scale": [1, 5],
        "unscored": {"the response is empty": 1, "\x1b[31mno digit in [red]x": 1},
        "flags": {},
        "flagged": 0,
    }
    scores = [line["judgements"]["digit"]["scores"]["fluency"] for line in read()]
    assert [each.get("reason") for each in scores[:3]] == [None, None, "the response is empty"]
    assert [each["score"] for each in scores] == [1.0, 1.0, None, None]


def test_agreement_with_a_reference(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored = [
        {"question": f"What is {n}?", "response": f"It is {n}", "aspect": "fluency", "score": n}
        for n in range(1, 6)
    ]
    write("stored.jsonl", stored)
    options = ("--reference", "recorded:path=stored.jsonl", "--criteria", "fluency")
    assert score(*options, "--summary", "summary.json") == 0
    printed = capsys.readouterr().out
    assert "Agreement of digit with the reference recorded: labels" in printed
    assert "Agreement of digit with the reference recorded: ranks" in printed
    (ranks,) = [line for line in printed.splitlines() if line.split()[:2] == ["fluency", "5"]]
    assert ranks.split() == ["fluency", "5", *["1.00", "[1.00,", "1.00]"] * 2]
    summary = json.loads(Path("summary.json").read_text())
    assert summary["reference"] == "recorded"
    agreement = summary["judges"]["digit"]["agreement"]["fluency"]
    assert agreement["n"] == 5
    assert agreement["scale"] == [1, 2, 3, 4, 5]
    assert agreement["somers_d"]["value"] == pytest.approx(1)
    assert "agreement" not in summary["judges"]["recorded"]
    assert set(read()[2]["judgements"]) == {"digit", "recorded"}


def test_too_few_pairs_are_not_enough(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("stored.jsonl", [ROWS[1] | {"aspect": "fluency", "score": 1}])
    assert score("--reference", "recorded:path=stored.jsonl", "--criteria", "fluency") == 0
    assert capsys.readouterr().out.count("not enough") == 2 * 5  # fluency and overall


def test_judgements_of_an_earlier_file_are_kept(folder: Path) -> None:
    earlier = {"person": {"fluency": {"score": 2}}, "digit": {"old": True}}
    write("in.jsonl", [ROWS[1] | {"judgements": earlier}])
    assert score("--criteria", "fluency") == 0
    [line] = read()
    assert line["judgements"]["person"] == earlier["person"]
    assert line["judgements"]["digit"]["scores"]["fluency"]["score"] == 1.0


def test_without_out_the_rows_go_to_standard_output(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score("--limit", "70") == 0
    capsys.readouterr()
    assert main(["score", "in.jsonl", "--judge", "digit", "--limit", "70", "--no-cache"]) == 0
    printed = capsys.readouterr()
    assert printed.out == Path("out.jsonl").read_text()
    assert "Scores by digit" in printed.err
    assert "rows written" not in printed.err


def test_a_reader_that_has_seen_enough_causes_no_traceback(folder: Path) -> None:
    run = subprocess.Popen(
        [*INSPECTOR, "score", "in.jsonl", "--judge", "digit", "--no-cache"],
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stdout is not None
    run.stdout.close()
    assert run.stderr is not None
    errors = run.stderr.read()
    assert (run.wait(timeout=60), errors) == (1, "")


def test_a_judge_that_scores_nothing_is_an_error(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("in.jsonl", [ROWS[3] | {"prediction": "three"}])
    write("stored.jsonl", [ROWS[1] | {"aspect": "fluency", "score": 1}])
    assert score("--reference", "recorded:path=stored.jsonl") == 1
    errors = capsys.readouterr().err.splitlines()
    assert errors[-2:] == [
        f"inspector score: judge {name!r} gave no score at all; the reasons are above"
        for name in ("digit", "recorded")
    ]
    assert len(read()) == 1  # what was judged is written all the same
