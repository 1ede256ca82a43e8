"""`inspector agree` and `inspector gate` as a user runs them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inspector_plugin.cli.main import main
from inspector_plugin.schema import ROSCOE

KEYS = ("logicality", "fluency")
PRINTS = {criterion.key: criterion.fingerprint for criterion in ROSCOE}


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def judgement(values: dict[str, float | None], scale: tuple[int, ...] = (1, 2, 3, 4, 5)) -> Any:
    scores = {}
    for key, value in values.items():
        cell: dict[str, Any] = {"score": value, "label": None, "scale": list(scale)}
        cell |= {"fingerprint": PRINTS[key]} | ({"reason": "no"} if value is None else {})
        scores[key] = cell
    return {"format_version": 2, "scores": scores}


def text(place: int) -> dict[str, Any]:
    return {"id": str(place // 2), "question": f"q{place // 2}", "response": f"r{place} " * place}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Two judges, good and poor, of 80 responses; three people; responses without a judge."""
    random = np.random.default_rng(0)
    judged, people = [], []
    for place in range(1, 81):
        truth = random.integers(1, 6, 2)
        noise = {"good": 0.4, "poor": 3.0}
        judgements = {
            name: judgement(
                {
                    key: float(np.clip(true + random.normal(0, spread), 1, 5))
                    for key, true in zip(KEYS, truth, strict=True)
                }
            )
            for name, spread in noise.items()
        }
        if place == 7:
            judgements["good"]["scores"]["fluency"] |= {"score": None, "reason": "no"}
        right = bool(truth[0] > 3)
        judged.append({**text(place), "is_correct": right, "judgements": judgements})
        for name in ("ann", "bob", "cem"):
            for key, true in zip(KEYS, truth, strict=True):
                value = int(np.clip(true + random.integers(-1, 2), 1, 5))
                people.append({**text(place), "criterion": key, "annotator": name, "score": value})
    return {
        "judged": write(tmp_path / "judged.jsonl", judged),
        "people": write(tmp_path / "people.jsonl", people),
    }


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(list(arguments))
    out, err = capsys.readouterr()
    return status, out, err


def test_an_outcome_is_held_against_all_judges_of_a_file(
    files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["agree", files["judged"], "--outcome", "is_correct"]
    arguments += ["--format", "json", "--resamples", "0"]
    _, out, _ = run(capsys, *arguments)
    assert {each["judge"] for each in json.loads(out)["outcomes"]} == {"good", "poor"}
    _, out, _ = run(capsys, *arguments, "--judge", "poor")
    assert {each["judge"] for each in json.loads(out)["outcomes"]} == {"poor"}


def test_judges_people_and_an_outcome(
    files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(
        capsys,
        *("agree", files["judged"], files["people"], "--outcome", "is_correct"),
        *("--resamples", "100"),
    )
    assert (status, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    for words in (
        "good against annotators: labels",
        "length only",
        "Labels on overall: annotators (rows), good (columns)",
        "by how far the annotators agree",
        "Yes: good wins against 3 of 3 annotators",
        "No: poor wins against 0 of 3 annotators",
        "Krippendorff's alpha (ordinal) of the annotators: ann, bob, cem",
        "Scores and is_correct",
        "The reference is the mean of ann, bob, cem",
    ):
        assert " ".join(words.split()) in " ".join(out.split()), words


def test_formats_hold_the_same_figures(
    files: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    common = ("agree", files["judged"], "--reference", files["people"], "--judge", "good")
    _, out, _ = run(capsys, *common, "--resamples", "50", "--format", "json")
    content = json.loads(out)
    [found] = content["agreement"]
    figures = found["criteria"]["fluency"]
    assert list(found["criteria"]) == ["logicality", "fluency", "overall"]
    assert (figures["n"], figures["asked"], figures["coverage"]["value"]) == (79, 80, 0.9875)
    assert figures["quadratic_kappa"]["low"] < figures["quadratic_kappa"]["value"]
    assert sum(map(sum, figures["confusion"])) == 79
    _, out, _ = run(capsys, *common, "--resamples", "50", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    kappas = [row for row in rows if row["column"] == "quadratic kappa"]
    assert float(kappas[1]["value"]) == figures["quadratic_kappa"]["value"]
    target = tmp_path / "out.md"
    status, out, _ = run(
        capsys, *common, "--resamples", "0", "--format", "md", "--out", str(target)
    )
    assert (status, out) == (0, "")
    assert "| semantic" not in target.read_text()
    assert "### good against annotators: labels" in target.read_text()


def test_one_person_as_the_reference(
    files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = run(
        capsys,
        *("agree", files["judged"], files["people"], "--reference", "ann", "--judge", "good"),
        *("--criterion", "fluency", "--resamples", "0"),
    )
    assert "good against ann on fluency: 79 scores" in out
    assert "overall" not in out
    assert "[" not in out.split("good against ann: labels")[1].split("n: what")[0]  # no intervals


def test_gate(files: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pair = (files["judged"], files["people"])
    few = ("--resamples", "100")
    status, out, _ = run(
        capsys, "gate", *pair, *few, "--judge", "good", "--min", "quadratic_kappa=0.6"
    )
    assert status == 0
    assert "pass  good, overall: quadratic_kappa" in out
    status, out, _ = run(
        capsys, "gate", *pair, *few, "--min", "quadratic_kappa=0.6", "--min", "coverage=0.9"
    )
    assert status == 1
    assert "FAIL  poor, overall: quadratic_kappa" in out
    assert "the lower end misses the bar, at least 0.6" in out
    assert "3 of 4 bars cleared" in out
    # The value clears the bar, the interval's lower end does not.
    _, out, _ = run(capsys, "agree", *pair, *few, "--judge", "good", "--format", "json")
    kappa = json.loads(out)["agreement"][0]["criteria"]["overall"]["quadratic_kappa"]
    between = (kappa["low"] + kappa["value"]) / 2
    saved = tmp_path / "saved.json"
    saved.write_text(out)
    for given in (pair, (str(saved),)):
        status, _, _ = run(
            capsys, "gate", *given, *few, "--judge", "good", "--min", f"quadratic_kappa={between}"
        )
        assert status == 1
        status, _, _ = run(
            capsys,
            *("gate", *given, *few, "--judge", "good"),
            *("--min", f"quadratic_kappa={kappa['low'] - 1e-5}"),
        )
        assert status == 0
    status, out, _ = run(
        capsys, "gate", *pair, *few, "--judge", "good", "--each", "--max", "mean_difference=0.0"
    )
    assert len(out.splitlines()) == 4
    status, out, _ = run(
        capsys, "gate", files["judged"], "--outcome", "is_correct", *few, "--min", "auc=0.5"
    )
    assert "good (is_correct), total: auc" in out


def test_gate_reads_what_score_and_lm_eval_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kappa = {"value": 0.5, "low": 0.3, "high": 0.7, "stderr": 0.1}
    agreement = {"overall": {"n": 9, "scale": [1, 2], "quadratic_kappa": kappa, "spearman": None}}
    scores = {"criteria": {}, "overall": {"coverage": 0.9}}
    summary = tmp_path / "summary.json"
    summary.write_text(json.dumps({"judges": {"j": {**scores, "agreement": agreement}}}))
    results = tmp_path / "results.json"
    config = {"scores": {"j": scores}, "agreement": {"judges": {"j": agreement}}}
    results.write_text(json.dumps({"results": {}, "configs": {"gsm8k": config, "other": {}}}))
    for path in (summary, results):
        assert main(["gate", str(path), "--min", "quadratic_kappa=0.25"]) == 0
        assert main(["gate", str(path), "--min", "quadratic_kappa=0.4"]) == 1
        assert main(["gate", str(path), "--min", "coverage=0.9"]) == 0
        assert main(["gate", str(path), "--min", "spearman=0"]) == 1
        assert "spearman is not defined" in capsys.readouterr().out
    kappa["low"] = None
    summary.write_text(json.dumps({"judges": {"j": {**scores, "agreement": agreement}}}))
    assert main(["gate", str(summary), "--min", "quadratic_kappa=0"]) == 1
    assert "quadratic_kappa 0.500 has no interval" in capsys.readouterr().out
    results.write_text("{}")
    status, _, err = run(capsys, "gate", str(results), "--min", "accuracy=0")
    assert status == 1
    assert "holds no agreement" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["agree", "{judged}", "{people}", "--reference", "eve"],
            "Unknown judge of the files 'eve'",
        ),
        (["agree", "{judged}", "{people}", "--judge", "godo"], "Did you mean 'good'"),
        (["agree", "{judged}", "{people}", "--criteria", "flow"], "Unknown criterion of the files"),
        (["agree", "{judged}", "{people}", "--annotators", "ann"], "one is not several"),
        (["agree", "{judged}", "--outcome", "nothing"], "'nothing'"),
        (["agree", "{judged}", "{people}", "--out", "{judged}"], "is the input itself"),
        (["gate", "{judged}", "{people}"], "Give a bar"),
        (["gate", "{judged}", "{people}", "--min", "kapa=1"], "Unknown figure 'kapa'"),
        (["gate", "{judged}", "{people}", "--min", "accuracy=x"], "'x' is not a number"),
        (["gate", "{judged}", "{people}", "--min", "auc=.5"], "auc needs an outcome"),
    ],
)
def test_mistakes_are_one_line(
    files: dict[str, str], capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    status, out, err = run(capsys, *(each.format(**files) for each in arguments))
    assert (status, out, len(err.splitlines())) == (1, "", 1)
    assert message in err


def test_files_that_cannot_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def one(name: str, place: int, key: str, value: float, scale: Any = (1, 2, 3, 4, 5)) -> str:
        row = {**text(place), "judgements": {name: judgement({key: value}, scale)}}
        return write(tmp_path / f"{name}.jsonl", [row])

    a, b = one("a", 1, "fluency", 3), one("b", 9, "fluency", 3)
    status, _, err = run(capsys, "agree", a, b)
    assert status == 1
    assert "a and b have no response in common: 1 and 1 responses, 0 questions in common" in err
    status, _, err = run(capsys, "agree", a, one("c", 1, "logicality", 3))
    assert status == 1
    assert "no criterion in common: the one has fluency, the other logicality" in err
    status, _, err = run(capsys, "agree", a)
    assert "There are scores by a alone, and a comparison takes two" in err
    status, out, _ = run(capsys, "agree", a, one("d", 1, "fluency", 1, (0, 1)))
    assert status == 0
    assert "fewer than two responses are scored by both" in " ".join(out.split())


def test_a_constant_reference_and_different_scales_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def file(name: str, values: list[float], scale: tuple[int, ...] = (1, 2, 3, 4, 5)) -> str:
        rows = [
            {**text(place), "judgements": {name: judgement({"fluency": value}, scale)}}
            for place, value in enumerate(values, start=1)
        ]
        return write(tmp_path / f"{name}.jsonl", rows)

    a = file("a", [1, 2, 3, 4, 5])
    _, out, _ = run(capsys, "agree", a, file("same", [3] * 5), "--resamples", "20")
    assert "same gives all 5 responses the same score" in " ".join(out.split())
    _, out, _ = run(capsys, "agree", a, file("low", [0, 0, 0, 1, 1], (0, 1)), "--resamples", "20")
    said = " ".join(out.split())
    assert "the judge scores on 1-5, the reference on 0-1" in said
    assert "a and low score on different scales" in said


def test_names_from_files_print_no_escape_sequences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"\x1b[31mred": 2.0, "=1+1": 4.0}
    rows = [
        {
            **text(place),
            "judgements": {name: judgement({"fluency": value}) for name, value in names.items()},
        }
        for place in (1, 2, 3)
    ]
    path = write(tmp_path / "hostile.jsonl", rows)
    for output in ("table", "md", "csv"):
        status, out, _ = run(capsys, "agree", path, "--format", output, "--resamples", "5")
        assert status == 0
        assert "\x1b" not in out or output == "csv"
    assert "\n=1+1" not in out
    assert ",=1+1" not in out
