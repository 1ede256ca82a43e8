"""`inspector rank`, `correct` and `plan labels`, from files to what they print and write."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inspector_plugin.cli.main import main
from inspector_plugin.schema.roscoe import ROSCOE

FINGERPRINTS = {criterion.key: criterion.fingerprint for criterion in ROSCOE}
MODELS = ("small", "large")
PROBLEMS = 200
Row = dict[str, Any]


def judgement(
    scores: Mapping[str, float], confidence: float | None = None, flags: Iterable[str] = ()
) -> Row:
    cells: dict[str, Row] = {}
    for key, score in scores.items():
        cell = {"score": score, "label": round(score), "scale": [1, 2, 3, 4, 5]}
        cell |= {"fingerprint": FINGERPRINTS[key]}
        if confidence is not None:
            others = {str(label): (1 - confidence) / 4 for label in range(1, 6)}
            cell["probabilities"] = {**others, str(round(score)): confidence}
        cells[key] = cell | ({"flags": list(flags)} if flags else {})
    return {"format_version": 2, "scores": cells}


def rows_of_models() -> list[tuple[Row, Row, Row]]:
    """For each response the row, the cheap judge's judgement, and what is true."""
    random = np.random.default_rng(5)
    rows = []
    for problem in range(PROBLEMS):
        for place, model in enumerate(MODELS):
            true = {
                key: float(np.clip(round(random.normal(2.6 + 0.8 * place, 1)), 1, 5))
                for key in ("logicality", "factuality")
            }
            confidence = random.uniform(0.3, 1)
            noise = random.normal(0, 1.5 * (1 - confidence), 2)
            cheap = {
                key: float(np.clip(round(0.6 * each + 1.8 + error), 1, 5))
                for (key, each), error in zip(true.items(), noise, strict=True)
            }
            row = {
                "id": str(problem),
                "question": f"Problem {problem}?",
                "response": f"Response of {model} to {problem}.",
                "model": model,
                "is_correct": true["logicality"] > 3,
            }
            flags = ("truncated",) if problem % 9 == 0 else ()
            rows.append((row, judgement(cheap, confidence, flags), judgement(true)))
    return rows


ROWS = rows_of_models()


def write(path: Path, rows: Iterable[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    rows = ({**row, "judgements": {"cheap": cheap}} for row, cheap, _ in ROWS)
    return write(tmp_path / "judged.jsonl", rows)


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    rows = ({**row, "judgements": {"strong": true}} for row, _, true in ROWS)
    return write(tmp_path / "truth.jsonl", rows)


@pytest.fixture
def pilot(tmp_path: Path) -> Path:
    chosen = np.random.default_rng(6).choice(len(ROWS), 80, replace=False)
    usage = {"calls": 1, "prompt_tokens": 100, "completion_tokens": 10, "money": 0.002}
    rows = (
        {**ROWS[index][0], "judgements": {"strong": {**ROWS[index][2], "usage": usage}}}
        for index in sorted(chosen)
    )
    return write(tmp_path / "pilot.jsonl", rows)


Run = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run_(*arguments: str | Path) -> str:
        assert main([str(each) for each in arguments]) == 0
        return capsys.readouterr().out

    return run_


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Run:
    def fails_(*arguments: str | Path) -> str:
        assert main([str(each) for each in arguments]) == 1
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    return fails_


def true_mean(model: str, key: str) -> float:
    scores = [true["scores"][key]["score"] for row, _, true in ROWS if row["model"] == model]
    return float(np.mean(scores))


def test_rank_by_the_field_model(run: Run, judged: Path, truth: Path) -> None:
    out = run("rank", judged, "--reference", truth)
    assert max(map(len, out.splitlines())) <= 80
    assert "logicality by cheap: Both models are told apart; large is the best." in out
    assert "factuality by cheap" in out
    assert "total by cheap" in out
    assert "they are in the same order or they are not" in " ".join(out.split())
    # Criteria in short, the total in full; with --each all in full.
    assert out.count("Models: ") == 3
    assert out.count("Pairs of models: ") == 1
    assert run("rank", judged, "--each").count("Pairs of models: ") == 3
    content = json.loads(run("rank", judged, "--criteria", "logicality", "--format", "json"))
    [ranking] = content["rankings"]
    assert ranking["reference"] is None
    assert [each["model"] for each in ranking["ranking"]["models"]] == ["large", "small"]
    scores = [
        cheap["scores"]["logicality"]["score"] for row, cheap, _ in ROWS if row["model"] == "large"
    ]
    assert ranking["ranking"]["models"][0]["mean"]["value"] == pytest.approx(np.mean(scores))


def test_rank_by_a_file_for_each_model(run: Run, tmp_path: Path) -> None:
    files = [
        write(
            tmp_path / f"{model}.jsonl",
            [
                {
                    **{name: value for name, value in row.items() if name != "model"},
                    "judgements": {"cheap": cheap},
                }
                for row, cheap, _ in ROWS
                if row["model"] == model
            ],
        )
        for model in MODELS
    ]
    folder = tmp_path / "org__large"
    folder.mkdir()
    (folder / "samples_x_2026.jsonl").write_bytes(files[1].read_bytes())
    for given, name in (
        (files[1], "large"),
        (f"other={files[1]}", "other"),
        (folder / "samples_x_2026.jsonl", "org/large"),
        (folder, "org/large"),
    ):
        out = run("rank", files[0], given, "--criteria", "logicality", "--format", "json")
        models = json.loads(out)["rankings"][0]["ranking"]["models"]
        assert [each["model"] for each in models] == [name, "small"]


def test_a_file_for_each_setting_of_one_model(run: Run, fails: Run, tmp_path: Path) -> None:
    # The rows name one model, and for the first problem both settings say the same.
    files = []
    for place, setting in enumerate(("plain", "chat")):
        rows = [
            {
                **row,
                "model": "m",
                "response": "18" if row["id"] == "0" else row["response"],
                "judgements": {"cheap": cheap},
            }
            for row, cheap, _ in ROWS[place::2]
        ]
        files.append(write(tmp_path / f"{setting}.jsonl", rows))
    given = (f"plain={files[0]}", f"chat={files[1]}", "--criteria", "logicality")
    [found] = json.loads(run("rank", *given, "--format", "json"))["rankings"]
    assert found["judge"] == "cheap"
    models = {each["model"]: each["rows"] for each in found["ranking"]["models"]}
    assert models == {"plain": PROBLEMS, "chat": PROBLEMS}
    two = write(tmp_path / "two.jsonl", ({**r, "judgements": {"cheap": c}} for r, c, _ in ROWS[:4]))
    said = fails("rank", f"plain={files[0]}", f"both={two}")
    assert "line 2: this response is by 'large', earlier ones by 'small'; both=FILE" in said


def test_rank_says_what_it_cannot(fails: Run, judged: Path, tmp_path: Path) -> None:
    one = write(
        tmp_path / "small.jsonl",
        ({**r, "judgements": {"cheap": c}} for r, c, _ in ROWS if r["model"] == "small"),
    )
    assert "only the model small has scores, and a ranking takes two" in fails("rank", one)
    assert "would both be model 'small'" in fails("rank", one, f"small={judged}")
    assert "--judge: Unknown judge of the files 'chaep'" in fails(
        "rank", judged, "--judge", "chaep"
    )
    assert "no such file or folder" in fails("rank", tmp_path / "absent.jsonl", judged)
    rows = [{**r, "judgements": {"cheap": c}} for r, c, _ in ROWS[:60]]
    rows[0] = json.loads(json.dumps(rows[0]))
    rows[0]["judgements"]["cheap"]["scores"]["logicality"]["fingerprint"] = "0" * 16
    other = write(tmp_path / "other.jsonl", rows)
    assert "2 different criteria of that key" in fails("rank", other)


def test_rank_of_few_problems_and_of_equal_scores(run: Run, tmp_path: Path) -> None:
    few = write(tmp_path / "few.jsonl", ({**r, "judgements": {"cheap": c}} for r, c, _ in ROWS[:8]))
    assert "4 problems; intervals and tests take 10" in run("rank", few)
    equal = write(
        tmp_path / "equal.jsonl",
        ({**r, "judgements": {"cheap": judgement({"fluency": 3.0})}} for r, _, _ in ROWS[:60]),
    )
    assert "their means are the same" in " ".join(run("rank", equal).split())


def test_a_criterion_without_scores_does_not_stop_the_others(run: Run, tmp_path: Path) -> None:
    missing = {"score": None, "label": None, "reason": "no"}
    rows = json.loads(json.dumps([{**r, "judgements": {"cheap": c}} for r, c, _ in ROWS[:60]]))
    for row in rows:
        row["judgements"]["cheap"]["scores"]["factuality"] = missing
    out = " ".join(run("rank", write(tmp_path / "partly.jsonl", rows)).split())
    assert "Models: logicality by cheap" in out
    assert "factuality by cheap: no model has scores, and a ranking takes two" in out


def test_rows_that_are_there_twice_are_said(run: Run, tmp_path: Path) -> None:
    rows = [{**r, "judgements": {"cheap": c}} for r, c, _ in ROWS]
    twice = write(tmp_path / "twice.jsonl", [*rows, *rows[:3]])
    out = run("rank", twice, "--criteria", "logicality")
    assert "3 rows with the model, question and response of an earlier row" in " ".join(out.split())


def test_correct_finds_the_means_of_the_reference(run: Run, judged: Path, pilot: Path) -> None:
    out = run("correct", judged, "--reference", pilot)
    assert max(map(len, out.splitlines())) <= 80
    assert "large: means of cheap, corrected by strong" in out
    content = json.loads(run("correct", judged, "--reference", pilot, "--format", "json"))
    for entry in content["corrected"]:
        for key in ("logicality", "factuality"):
            mean = entry["means"][key]
            true = true_mean(entry["model"], key)
            assert mean["corrected"]["low"] < true < mean["corrected"]["high"]
            assert mean["labels_saved"] > 0
            assert mean["rows"] == PROBLEMS
            assert entry["shares"][key]["rogan_gladen"]["sensitivity"] is not None
        assert "total" in entry["means"]
        assert "total" not in entry["shares"]


def test_correct_by_an_outcome(run: Run, judged: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in judged.read_text(encoding="utf-8").splitlines()]
    for index, row in enumerate(rows):
        if index // 2 % 2:
            del row["is_correct"]
    some = write(tmp_path / "some.jsonl", rows)
    out = run(
        "correct", some, "--outcome", "is_correct", "--criteria", "logicality", "--format", "json"
    )
    for entry in json.loads(out)["corrected"]:
        outcomes = [r["is_correct"] for r, _, _ in ROWS if r["model"] == entry["model"]]
        for found in (
            entry["means"]["logicality"]["corrected"],
            entry["shares"]["logicality"]["rogan_gladen"]["corrected"],
        ):
            assert found["low"] < np.mean(outcomes) < found["high"]
        assert "cheap scores on 1-5, is_correct on 0-1" in entry["notes"][0]


def test_correct_says_what_it_cannot(
    fails: Run, run: Run, judged: Path, pilot: Path, tmp_path: Path
) -> None:
    assert "--reference or --outcome" in fails("correct", judged)
    assert "give one of them" in fails(
        "correct", judged, "--reference", pilot, "--outcome", "is_correct"
    )
    assert "there is no file of that name" in fails("correct", judged, "--reference", "nobody")
    assert "'nothing'" in fails("correct", judged, "--outcome", "nothing")
    others = write(
        tmp_path / "others.jsonl",
        ({**r, "response": "Other.", "judgements": {"strong": t}} for r, _, t in ROWS[:50]),
    )
    assert "no response in common" in fails("correct", judged, "--reference", others)
    fluency = write(
        tmp_path / "fluency.jsonl",
        ({**r, "judgements": {"strong": judgement({"fluency": 3.0})}} for r, _, _ in ROWS[:50]),
    )
    assert "no criterion in common" in fails("correct", judged, "--reference", fluency)
    few = write(
        tmp_path / "few.jsonl", ({**r, "judgements": {"strong": t}} for r, _, t in ROWS[:12])
    )
    out = " ".join(run("correct", judged, "--reference", few).split())
    assert "6 labelled problems; an interval takes 10" in out


def test_formats_hold_the_same_figures(run: Run, judged: Path, pilot: Path) -> None:
    table, markdown, comma = (
        run("correct", judged, "--reference", pilot, "--format", each)
        for each in ("table", "md", "csv")
    )
    rows = list(csv.DictReader(io.StringIO(comma)))
    [naive] = [
        row["value"]
        for row in rows
        if row["column"] == "naive" and row["row"] == "1" and "large: means" in row["table"]
    ]
    assert f" {float(naive):.2f} " in table
    assert f"| {float(naive):.2f} |" in markdown


def test_a_plan_is_labelled_and_corrected_by_its_weights(
    run: Run, judged: Path, truth: Path, pilot: Path, tmp_path: Path
) -> None:
    chosen, labels = tmp_path / "chosen.jsonl", tmp_path / "labels.jsonl"
    arguments = ("plan", "labels", judged, "--reference", pilot, "--criteria", "logicality")
    out = run(*arguments, "--width", "0.4", "--out", chosen)
    assert max(map(len, out.splitlines())) <= 80
    rows = [json.loads(line) for line in chosen.read_text(encoding="utf-8").splitlines()]
    assert f"{len(rows)} rows to label, at $0.002 each" in out
    assert f": ${len(rows) * 0.002:.2f}" in " ".join(out.split())
    piloted = {json.loads(line)["response"] for line in pilot.read_text().splitlines()}
    assert not piloted & {row["response"] for row in rows}
    assert all("judgements" not in row for row in rows)
    # More often where the judge is unsure: these rows stand for fewer others.
    weights = [row["label_plan"]["weight"] for row in rows]
    assert max(weights) > 1.2 * min(weights)
    run("label", chosen, "--judge", f"recorded:path={truth}", "--criteria", "logicality",
        "--out", labels, "--no-cache")  # fmt: skip
    both = ("--reference", pilot, "--reference", labels, "--criteria", "logicality")
    content = json.loads(run("correct", judged, *both, "--format", "json"))
    for entry in content["corrected"]:
        assert entry["reference"] == "reference"
        mean = entry["means"]["logicality"]["corrected"]
        assert mean["low"] < true_mean(entry["model"], "logicality") < mean["high"]
        assert mean["high"] - mean["low"] < 0.48
    # The weights are used: without them other figures come out.
    plain = [json.loads(line) for line in labels.read_text(encoding="utf-8").splitlines()]
    for row in plain:
        del row["label_plan"]
    write(labels, plain)
    again = json.loads(run("correct", judged, *both, "--format", "json"))
    assert again["corrected"][0]["means"] != content["corrected"][0]["means"]


def test_a_plan_without_a_pilot_chooses_one(run: Run, judged: Path, tmp_path: Path) -> None:
    out = tmp_path / "pilot.jsonl"
    said = run("plan", "labels", judged, "--labels", "30", "--price", "0.5", "--out", out)
    assert "60 rows to label, at $0.5 each (as given): $30.00" in " ".join(said.split())
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [sum(row["model"] == model for row in rows) for model in MODELS] == [30, 30]
    assert {row["label_plan"]["pilot_share"] for row in rows} == {0}
    first = out.read_bytes()
    run("plan", "labels", judged, "--labels", "30", "--out", out)  # the same plan again
    assert out.read_bytes() == first


def test_plan_labels_says_what_it_cannot(
    fails: Run, run: Run, judged: Path, pilot: Path, tmp_path: Path, capsys: Any
) -> None:
    assert "takes a pilot" in fails("plan", "labels", judged, "--width", "0.3")
    few = write(
        tmp_path / "few.jsonl", ({**r, "judgements": {"strong": t}} for r, _, t in ROWS[:12])
    )
    said = fails("plan", "labels", judged, "--width", "0.3", "--reference", few)
    assert "the pilot does not do (6 labelled problems" in said
    assert "is the input itself" in fails(
        "plan", "labels", judged, "--labels", "3", "--out", judged
    )
    out = run("plan", "labels", judged, "--reference", pilot, "--width", "0.05")
    assert "do not suffice for this width" in " ".join(out.split())
    assert "No rows to label." in out
    more = tmp_path / "more.jsonl"
    width = ("--reference", pilot, "--width", "0.05", "--out", more)
    assert main(list(map(str, ("plan", "labels", judged, *width)))) == 0
    said = capsys.readouterr().err
    assert "even labels for all rows would not give this width" in said
    assert not more.exists()


def test_plans_of_one_row_and_of_none(run: Run, fails: Run, tmp_path: Path) -> None:
    [(row, _, _), *_] = ROWS
    scored = {"format_version": 2, "scores": {"fluency": {"score": 3.0, "label": 3}}}
    one = write(tmp_path / "one.jsonl", [{**row, "judgements": {"j": scored}}])
    said = " ".join(run("plan", "labels", one, "--labels", "5").split())
    assert "Labels for j: 1 row to label; cost unknown; give --price (1 of 1" in said
    missing = {"score": None, "label": None, "reason": "no"}
    unscored = {"format_version": 2, "scores": {"fluency": missing}}
    none = write(tmp_path / "none.jsonl", [{**row, "judgements": {"j": unscored}}])
    out = tmp_path / "out.jsonl"
    assert "No rows to label." in run("plan", "labels", none, "--labels", "5", "--out", out)
    assert not out.exists()


def test_weights_that_no_plan_wrote_are_refused(fails: Run, judged: Path, tmp_path: Path) -> None:
    rows = [
        {**r, "judgements": {"strong": t}, "label_plan": {"stage": 1, "weight": -2}}
        for r, _, t in ROWS[:60]
    ]
    labels = write(tmp_path / "labels.jsonl", rows)
    assert "is not as `inspector plan labels` writes it" in fails(
        "correct", judged, "--reference", labels
    )
