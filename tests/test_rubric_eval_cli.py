"""The command `inspector rubric eval`: its formats, what it leaves out, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from chat_server import Answer, judgement, response_of
from conftest import UseJudges
from endpoint_judges import Serve
from rubric_pairs import SOURCE, RubricJudge, pair_rows, rule, write

from inspector_plugin.cli.main import main
from inspector_plugin.data.problems import problem_identity
from inspector_plugin.rubrics.conditions import HUMAN_NAME, NO_RUBRIC_NAME
from inspector_plugin.rubrics.evaluate import PAIRWISE_NAME
from inspector_plugin.schema import Criterion
from inspector_plugin.schema.rubric_files import RubricFile
from inspector_plugin.schema.rubrics import RubricInstance


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return write(tmp_path / "pairs.jsonl", pair_rows())


@pytest.fixture
def use_here(monkeypatch: pytest.MonkeyPatch, use_judges: UseJudges) -> UseJudges:
    """Make judges known by name to the command."""

    def use(**factories: Any) -> Any:
        registry = use_judges(**factories)
        monkeypatch.setattr("inspector_plugin.cli.rubric_eval.make_registry", lambda: registry)
        return registry

    return use


def rubric_file(path: Path, criterion: Criterion, **generator: Any) -> Path:
    path.write_text(RubricFile("mine", criterion, generator=generator).text(".json"))
    return path


def test_the_command_prints_its_table_within_80_columns(
    pairs: Path, tmp_path: Path, use_here: UseJudges, capsys: pytest.CaptureFixture[str]
) -> None:
    use_here(ruled=lambda labels: RubricJudge(rule, scale=None))
    rubric = rubric_file(tmp_path / "R.json", SOURCE)
    status = main(
        ["rubric", "eval", str(pairs), "--judge", "ruled", "--rubrics", f"sources={rubric}"]
    )
    out = capsys.readouterr().out
    assert status == 0, out
    assert max(map(len, out.splitlines())) <= 80
    [row] = [
        line
        for line in out.split("pairs: adversarial")[1].split("\n\n")[0].splitlines()
        if line.startswith("sources")
    ]
    assert row.split()[1:3] == ["2", ".50"]
    assert "pairs: manual" not in out  # pooled


@pytest.mark.parametrize("form", ["md", "csv", "json"])
def test_the_other_formats_hold_the_same_figures(
    pairs: Path, tmp_path: Path, use_here: UseJudges, form: str
) -> None:
    use_here(ruled=lambda labels: RubricJudge(rule, scale=None))
    rubric, out = rubric_file(tmp_path / "R.json", SOURCE), tmp_path / f"figures.{form}"
    command = ["rubric", "eval", str(pairs), "--judge", "ruled", "--format", form]
    assert main([*command, "--rubrics", f"sources={rubric}", "--out", str(out)]) == 0
    text = out.read_text()
    if form == "json":
        tables = {t["title"]: t for s in json.loads(text)["sections"] for t in s["tables"]}
        [row] = [r for r in tables["pairs"]["rows"] if r[0] == "sources"]
        accuracy = row[tables["pairs"]["columns"].index("accuracy")]
        assert accuracy["value"] == 0.625
    elif form == "csv":
        rows = list(csv.DictReader(io.StringIO(text)))
        [number] = [r["row"] for r in rows if r["table"] == "pairs" and r["value"] == "sources"]
        [figure] = [
            r for r in rows if (r["table"], r["row"], r["column"]) == ("pairs", number, "accuracy")
        ]
        assert float(figure["value"]) == 0.625
    else:
        assert "### pairs: manual" in text
        assert "| sources | 4 | .62" in text


def test_problems_that_a_rubric_was_made_from_are_left_out(
    pairs: Path, tmp_path: Path, use_here: UseJudges, capsys: pytest.CaptureFixture[str]
) -> None:
    judge = RubricJudge(rule, scale=None)
    use_here(ruled=lambda labels: judge)
    made_of = [problem_identity(row["question"]) for row in pair_rows()[:2]]
    rubric = rubric_file(tmp_path / "R.json", SOURCE, problems=made_of)
    more = write(tmp_path / "dev.jsonl", pair_rows()[2:3])
    command = ["rubric", "eval", str(pairs), "--judge", "ruled", "--rubrics", f"sources={rubric}"]
    assert main([*command, "--leave-out", str(more), "--no-pairwise"]) == 0
    asked = {request.question for call in judge.calls for request in call}
    assert asked == {"Question number 3?"}
    assert "3 of 4 rows of problems left out" in capsys.readouterr().err


def test_problems_that_the_generator_was_tuned_on_are_left_out(
    pairs: Path, tmp_path: Path, use_here: UseJudges
) -> None:
    judge = RubricJudge(rule, scale=None)
    use_here(ruled=lambda labels: judge)
    adapter = tmp_path / "generator"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    tuned_on = [problem_identity(row["question"]) for row in pair_rows()[1:]]
    (adapter / "card.json").write_text(json.dumps({"problems": tuned_on}))
    instances = tuple(
        RubricInstance(problem_identity(row["question"]), SOURCE.items) for row in pair_rows()
    )
    rubric = rubric_file(
        tmp_path / "R.json", Criterion("rubric", instances=instances), model=str(adapter)
    )
    command = ["rubric", "eval", str(pairs), "--judge", "ruled", "--rubrics", f"tuned={rubric}"]
    assert main(command) == 0
    assert {each.question for call in judge.calls for each in call} == {"Question number 0?"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rubrics", "R.json"], "give a name and a file"),
        (["--rubrics", "no rubric={rubric}"], "is taken"),
        (["--rubrics", "a={other}"], "for none of the problems"),
        (["--out", "{data}", "--format", "md"], "is the input itself"),
        (["--out", "figures.md"], "--out needs --format"),
        (["--leave-out", "{data}"], "no problem is left"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_judged(
    pairs: Path,
    tmp_path: Path,
    use_here: UseJudges,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    judge = RubricJudge(rule, scale=None)
    use_here(ruled=lambda labels: judge)
    instance = RubricInstance("0" * 16, SOURCE.items)
    names = {
        "rubric": rubric_file(tmp_path / "R.json", SOURCE),
        "other": rubric_file(tmp_path / "O.json", Criterion("rubric", instances=(instance,))),
        "data": pairs,
    }
    given = [each.format(**names) for each in arguments]
    assert main(["rubric", "eval", str(pairs), "--judge", "ruled", *given]) == 1
    assert message in capsys.readouterr().err
    assert judge.calls == []


def test_against_an_endpoint_a_second_run_pays_for_nothing(
    pairs: Path,
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def answer(body: dict[str, Any], number: int) -> Answer:
        text = response_of(body)
        if "[begin of response 1" in text:
            first = text.partition("[end of response 1")[0]
            return Answer(judgement(1 if "a source" in first else 2))
        return Answer(judgement(5 if "a source" in text else 1))

    server = serve(answer)
    monkeypatch.setenv("TEST_KEY", "sk-0123456789")
    judge = f"prompt:model=m,base_url={server.url},key_env=TEST_KEY"
    command = ["rubric", "eval", str(pairs), "--judge", judge, "--format", "json", "--no-exploit"]
    assert main([*command, "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("judge: 16 calls, ")
    assert not server.calls
    assert main(command) == 0
    first, said = capsys.readouterr()
    assert "judge: 16 calls, 16000 prompt tokens" in " ".join(said.split())
    # Eight responses apart, and four pairs in two orders.
    assert len(server.calls) == 16
    assert main(command) == 0
    assert len(server.calls) == 16
    again, said = capsys.readouterr()
    assert again == first
    assert "16 judgements reused" in " ".join(said.split())
    [table] = [t for t in json.loads(first)["sections"][0]["tables"] if t["title"] == "pairs"]
    figures = {row[0]: row[table["columns"].index("accuracy")]["value"] for row in table["rows"]}
    assert figures == {NO_RUBRIC_NAME: 0.625, PAIRWISE_NAME: 0.625}


def test_the_rubric_of_people_is_a_condition_where_rows_have_one(
    tmp_path: Path, use_here: UseJudges, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row | {"rubric": f"Is it {n}?"} for n, row in enumerate(pair_rows())]
    path = write(tmp_path / "own.jsonl", rows)
    use_here(ruled=lambda labels: RubricJudge(rule, scale=None))
    command = ["rubric", "eval", str(path), "--judge", "ruled", "--format", "json"]
    assert main(command) == 0
    sections = json.loads(capsys.readouterr().out)["sections"]
    names = [row[0] for row in sections[0]["tables"][-1]["rows"]]
    assert names == [NO_RUBRIC_NAME, HUMAN_NAME, f"another problem's ({HUMAN_NAME})", PAIRWISE_NAME]
