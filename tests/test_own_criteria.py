"""Criteria of one's own on a scale of one's own, from the command line: label to agreement."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import Answer, ChatServer, judgement, response_of

from inspector_plugin.cli.main import main
from inspector_plugin.judges.inspector.packs import read_card
from inspector_plugin.judges.inspector.plan import ClassifierSettings, TrainingPlan
from inspector_plugin.schema import Criterion, Scale

CARE = Criterion(
    "care",
    "Care",
    "The response checks its own steps.",
    Scale(tuple(range(1, 8))),
    {1: "nothing is checked", 7: "every step is checked"},
)
SCALE = list(CARE.scale.labels)
# The server gives as many points as there are checks; some scores occur more often than others.
CHECKS = [*SCALE * 6, 1, 1, 4]
ROWS = [
    {
        "id": f"p{number}",
        "question": f"What is {number} + {checks}?",
        "response": "So it is. " * (number % 3) + "checked " * checks + f"{number + checks}.",
        "dataset": "mine",
    }
    for number, checks in enumerate(CHECKS)
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of the test's own, and choose between two classifiers only."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INSPECTOR_CACHE_DIR", str(tmp_path / "cache"))
    few = tuple(ClassifierSettings("logistic_regression", c) for c in (0.1, 1.0))
    defaults = TrainingPlan.__init__.__defaults__
    assert defaults is not None
    monkeypatch.setattr(TrainingPlan.__init__, "__defaults__", (*defaults[:-1], few))
    content = {"format_version": 1, "name": "mine", "criteria": [CARE.to_json()]}
    Path("mine.json").write_text(json.dumps(content), encoding="utf-8")
    write("rows.jsonl", ROWS)
    return tmp_path


@pytest.fixture
def spec() -> Iterator[str]:
    """A prompt judge whose server counts the checks in a response."""

    def script(body: dict[str, Any], number: int) -> Answer:
        return Answer(content=judgement(response_of(body).count("checked")))

    with ChatServer(script) as server:
        yield f"prompt:model=m,base_url={server.url}"


def write(path: str, rows: list[dict[str, Any]]) -> None:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def scores_of(path: str, judge: str) -> list[dict[str, Any]]:
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["judgements"][judge]["scores"]["care"] for line in lines]


def test_score_on_a_scale_of_ones_own(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    stored: list[dict[str, Any]] = [
        row | {"criterion": "care", "score": checks}
        for row, checks in zip(ROWS, CHECKS, strict=True)
    ]
    stored[0]["score"] = 6.5  # where the server gives 1
    write("stored.jsonl", stored)
    command = ["score", "rows.jsonl", "--criteria", "mine.json", "--judge", spec]
    command += ["--reference", "recorded:path=stored.jsonl", "--limit", "7"]
    assert main([*command, "--out", "out.jsonl", "--summary", "summary.json"]) == 0
    asked = scores_of("out.jsonl", "prompt")
    assert [score["score"] for score in asked] == SCALE
    assert {(tuple(score["scale"]), score["fingerprint"]) for score in asked} == {
        (tuple(SCALE), CARE.fingerprint)
    }
    first = scores_of("out.jsonl", "recorded")[0]
    assert (first["score"], first["label"], first["scale"]) == (6.5, 7, SCALE)  # halves round up
    summary = json.loads(Path("summary.json").read_text())["judges"]
    agreement = summary["prompt"]["agreement"]["care"]
    assert (agreement["n"], agreement["scale"]) == (7, SCALE)
    assert agreement["accuracy"]["value"] == round(6 / 7, 4)
    assert summary["prompt"]["criteria"]["care"]["mean"] == 4
    assert summary["recorded"]["criteria"]["care"]["mean"] == round((6.5 + 27) / 7, 4)
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["care", "1-7", "4.00", "0.82", "7/7"] in printed  # sqrt(28 / 6 / 7)


def test_from_criteria_to_agreement(
    spec: str, tiny_lm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["criteria", "check", "mine.json"]) == 0
    own = ["--criteria", "mine.json"]
    assert main(["label", "rows.jsonl", "--judge", spec, "--out", "labelled.jsonl", *own]) == 0
    assert [score["label"] for score in scores_of("labelled.jsonl", "prompt")] == CHECKS

    assert main(["balance", "labelled.jsonl", "--out", "balanced.jsonl"]) == 0
    labels = Counter(score["label"] for score in scores_of("balanced.jsonl", "prompt"))
    assert labels == dict.fromkeys(SCALE, 6)

    train = ["train", "balanced.jsonl", "--dataset", "mine", "--model", str(tiny_lm), *own]
    train += ["--out", "probes", "--jobs", "1", "--folds", "3", "--members", "1"]
    capsys.readouterr()
    assert main([*train, "--labels", "multiclass", "--layer-step", "2"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Probes that beat their surface baseline for certain: " in said
    assert "care: the probe " in said
    card = read_card(next(Path("probes").glob("*/mine/multiclass")))
    assert card["criteria"]["care"]["fingerprint"] == CARE.fingerprint
    assert card["criteria"]["care"]["rows"] == 42

    capsys.readouterr()
    judge = f"inspector:model={tiny_lm},probes=probes,dataset=mine,device=cpu"
    score = ["score", "rows.jsonl", "--judge", judge, *own, "--out", "judged.jsonl"]
    score += ["--reference", "recorded:path=labelled.jsonl", "--summary", "summary.json"]
    assert main(score) == 0
    summary = json.loads(Path("summary.json").read_text())["judges"]["inspector"]
    care, agreement = summary["criteria"]["care"], summary["agreement"]["care"]
    assert (care["scale"], care["scored"], care["asked"]) == ([1, 7], 45, 45)
    assert (agreement["n"], agreement["scale"]) == (45, SCALE)
    # The probes have seen most of these responses, in which the score can be counted.
    assert agreement["spearman"]["value"] > 0.8
    assert agreement["quadratic_kappa"]["value"] > 0.8
    for score in scores_of("judged.jsonl", "inspector"):
        assert sorted(map(int, score["probabilities"])) == SCALE
        assert 1 <= score["score"] <= 7
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80

    # Other criteria, or another data set, are not judged by these probes.
    assert main(["score", "rows.jsonl", "--judge", judge, "--out", "other.jsonl"]) == 1
    error = capsys.readouterr().err
    assert "can judge none of the rows: there is no probe for 'semantic_consistency'" in error
    assert error.count("\n") == 1
    reworded = {**CARE.to_json(), "definition": "Something else."}
    content = {"format_version": 1, "name": "mine", "criteria": [reworded]}
    Path("reworded.json").write_text(json.dumps(content))
    other = ["score", "rows.jsonl", "--judge", judge, "--criteria", "reworded.json"]
    assert main([*other, "--out", "other.jsonl"]) == 1
    assert "was trained on another criterion of that key" in capsys.readouterr().err
    assert not Path("other.jsonl").exists()
