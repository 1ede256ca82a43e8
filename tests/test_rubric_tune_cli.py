"""The command `inspector rubric tune`: what it prints, asks, and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from chat_server import Answer, judgement, response_of
from conftest import UseJudges
from endpoint_judges import Serve

pytest.importorskip("trl", reason="needs inspector_plugin[tune]")
pytest.importorskip("peft", reason="needs inspector_plugin[tune]")

from rubric_pairs import RubricJudge, write
from tuning_problems import draw_written, problem, rule

from inspector_plugin.cli.main import main

SMALL_RUN = ["--candidates", "3", "--rounds", "1", "--max-tokens", "64", "--rank", "4"]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    return draw_written(monkeypatch)


@pytest.fixture
def use_here(monkeypatch: pytest.MonkeyPatch, use_judges: UseJudges) -> UseJudges:
    """Make judges known by name to the command."""

    def use(**factories: Any) -> Any:
        registry = use_judges(**factories)
        monkeypatch.setattr("inspector_plugin.cli.rubric_tune.make_registry", lambda: registry)
        return registry

    return use


def data(tmp_path: Path, **fields: Any) -> Path:
    rows = [
        {"question": each.question, "responses": list(each.responses), **fields}
        for each in map(problem, range(4))
    ]
    return write(tmp_path / "data.jsonl", rows)


def test_the_command_tunes_by_labels_and_prints_what_each_stage_did(
    tiny_lm: Path,
    tmp_path: Path,
    drawn: list[int],
    use_here: UseJudges,
    capsys: pytest.CaptureFixture[str],
) -> None:
    use_here(ruled=lambda labels: RubricJudge(rule, scale=None))
    out = tmp_path / "tuned"
    command = ["rubric", "tune", str(data(tmp_path, preferred=0)), "--generator", str(tiny_lm)]
    assert main([*command, "--judge", "ruled", "--out", str(out), *SMALL_RUN]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    [row] = [line.split() for line in printed.splitlines() if line.startswith("round 1")]
    assert row[2:8] == ["4", "9/12", "1", "1", ".67", "2"]
    config = json.loads((out / "card.json").read_text())["made_by"]["plan"]
    assert (config["reward"], config["base"]) == ("labels", str(tiny_lm))


def test_without_labels_the_command_asks_the_meta_judge(
    tiny_lm: Path,
    tmp_path: Path,
    drawn: list[int],
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def answer(body: dict[str, Any], number: int) -> Answer:
        return Answer(judgement(5 if "jars" in response_of(body) else 2))

    server = serve(answer)
    monkeypatch.setenv("TEST_KEY", "sk-0123456789")
    judge = f"prompt:model=m,base_url={server.url},key_env=TEST_KEY"
    out = tmp_path / "tuned"
    command = ["rubric", "tune", str(data(tmp_path)), "--generator", str(tiny_lm)]
    command[-1] = f"prompt:model={tiny_lm}"  # as `rubric generate` takes it
    assert main([*command, "--judge", judge, "--out", str(out), *SMALL_RUN]) == 0
    # Two different rubrics for problems 0 and 3, one for 1 and 2, on four criteria; round 1 draws
    # the same, which the judge cache knows.
    assert len(server.calls) == (2 + 1 + 1 + 2) * 4
    card = json.loads((out / "card.json").read_text())
    assert card["made_by"]["plan"]["reward"] == "meta-judge"
    assert card["stages"][1]["training"]["examples"] == 2


@pytest.mark.parametrize(
    ("fields", "arguments", "message"),
    [
        ({}, ["--reward", "labels"], "No problem has two responses whose labels differ"),
        ({"preferred": 0}, ["--generator", "/nowhere"], "no such file or folder"),
        ({"preferred": 0}, ["--out", "{folder}"], "holds an input"),
        ({"preferred": 0}, ["--concurrency", "3"], "none of the judges"),
        (
            {"preferred": 0},
            ["--generator", "prompt:model=m,base_url=http://127.0.0.1:1"],
            "whose weights can be read",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(
    tiny_lm: Path,
    tmp_path: Path,
    use_here: UseJudges,
    capsys: pytest.CaptureFixture[str],
    fields: dict[str, Any],
    arguments: list[str],
    message: str,
) -> None:
    use_here(ruled=lambda labels: RubricJudge(rule, scale=None))
    path = data(tmp_path, **fields)
    command = ["rubric", "tune", str(path), "--judge", "ruled", "--generator", str(tiny_lm)]
    given = [each.format(folder=path.parent) for each in arguments]
    assert main([*command, "--out", str(tmp_path / "o"), *SMALL_RUN, *given]) == 1
    assert message in capsys.readouterr().err
