"""Runs that judge by a rubric: items of each problem, `score`, the Python API, and lm-eval."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from endpoint_judges import MakeJudge, Serve
from harness_runs import Parrot, evaluate
from rubric_items import RUBRIC, many, replying, rubric_path
from task_data import GSM8K

from inspector_plugin import api
from inspector_plugin.cli.main import main
from inspector_plugin.data.problems import problem_identity
from inspector_plugin.errors import DataError
from inspector_plugin.judging.run import judge_all
from inspector_plugin.schema import JudgeRequest

ROOT = Path(__file__).resolve().parents[1]


def test_each_problem_is_judged_by_its_own_items(
    serve: Serve, make_judge: MakeJudge, tmp_path: Path
) -> None:
    server = serve(replying)
    criterion = many("q1", "q2")
    asked = [JudgeRequest(question, "r", (criterion,)) for question in ("q1", "q2", "q3")]
    judged = [each.scores["rubric"] for each in judge_all(make_judge(server), asked)]
    assert [score.score for score in judged] == [5.0, 3.0, None]
    assert judged[2].reason == "the rubric has no items for this problem"
    own = criterion.for_problem(problem_identity("q1"))
    assert own is not None
    assert judged[0].fingerprint == own.fingerprint != judged[1].fingerprint
    assert len(server.calls) == 4


def test_score_writes_verdicts_resumes_and_serves_as_a_record(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve(replying)
    rubric = rubric_path(tmp_path, many("q1", "q2"))
    rows = [{"id": q, "question": q, "response": f"r{q}"} for q in ("q1", "q2", "q9")]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "out.jsonl"
    judge = f"prompt:model=m,base_url={server.url}"
    arguments = ["score", str(data), "--judge", judge, "--criteria", str(rubric), "--out", str(out)]
    assert main(arguments) == 0
    lines = out.read_text().splitlines()
    stored = [json.loads(line)["judgements"]["prompt"]["scores"]["rubric"] for line in lines]
    assert [row["score"] is None for row in stored] == [False, False, True]
    assert list(stored[0]["items"]) == ["own", "slip"]
    run = json.loads(Path(f"{out}.run.json").read_text())
    assert run["criteria"][0]["instances"] == 2
    # Half of the output is gone, as after a kill: nothing is asked anew, and it comes out the same.
    calls = len(server.calls)
    out.write_text(lines[0] + "\n" + lines[1][:40])
    assert main(arguments) == 0
    ends = [json.loads(line)["judgements"]["prompt"]["scores"] for line in out.open()]
    assert [each["rubric"] for each in ends] == stored
    assert len(server.calls) == calls
    recorded = tmp_path / "recorded.jsonl"
    by_record = ["--judge", f"recorded:path={out}", "--out", str(recorded)]
    assert main(["score", str(data), *by_record, "--criteria", str(rubric)]) == 0
    first = json.loads(recorded.open().readline())["judgements"]["recorded"]["scores"]["rubric"]
    assert {k: v["value"] for k, v in first["items"].items()} == {
        k: v["value"] for k, v in stored[0]["items"].items()
    }
    capsys.readouterr()
    other = rubric_path(tmp_path, many("q7"))
    assert main(["score", str(data), "--judge", judge, "--criteria", str(other)]) == 1
    assert "can judge none of the rows: the rubric has no items for" in capsys.readouterr().err


def test_the_python_api_takes_rubrics(serve: Serve, make_judge: MakeJudge, tmp_path: Path) -> None:
    rows = [{"question": "How many jars?", "response": "4 * 9 = 36"}]
    for criteria in ([RUBRIC], str(rubric_path(tmp_path))):
        found = api.score(make_judge(serve(replying)), rows, criteria=criteria, cache=False)
        assert found.judgements[0].scores["rubric"].score == 4.75


def test_lm_eval_judges_by_a_rubric(serve: Serve, tmp_path: Path, data: Path) -> None:
    server = serve(replying)
    metadata = {
        "judge": f"prompt:model=m,base_url={server.url}",
        "criteria": str(ROOT / "examples/rubrics/gsm8k.yaml"),
        "data": str(data),
    }
    found = evaluate("gsm8k_inspector", Parrot("36 - 7 = 29"), metadata, limit=2, log_samples=True)
    results = found["results"]["gsm8k_inspector"]
    # Every rule and principle of 16 fails, and no pitfall of 6 is there.
    assert results["rubric,prompt"] == pytest.approx(1 + 4 * 6 / 22, abs=1e-3)
    assert results["coverage,prompt"] == 1
    sample = next(s for s in found["samples"]["gsm8k_inspector"] if s["filter"] == "prompt")
    logged = json.loads(json.dumps(sample["filtered_resps"], default=str))
    assert '"broken_off": {"value": 0.0' in str(logged)
    assert len(server.calls) == 20


def test_lm_eval_judges_each_problem_by_its_own_items(
    serve: Serve, tmp_path: Path, data: Path
) -> None:
    first, second = (str(row["question"]) for row in GSM8K[:2])
    assert problem_identity(first) != problem_identity(second)
    server = serve(replying)
    metadata = {
        "judge": f"prompt:model=m,base_url={server.url}",
        "criteria": str(rubric_path(tmp_path, many(f"Question: {first}\nAnswer:"))),
        "data": str(data),
    }
    found = evaluate("gsm8k_inspector", Parrot("36 - 7 = 29"), metadata, limit=2)
    results = found["results"]["gsm8k_inspector"]
    assert results["rubric,prompt"] == 3.0
    assert results["coverage,prompt"] == 0.5
    assert len(server.calls) == 2


def test_lm_eval_refuses_a_rubric_for_other_problems(tmp_path: Path, data: Path) -> None:
    metadata = {
        "judge": "prompt:model=m,base_url=http://127.0.0.1:9/v1",
        "criteria": str(rubric_path(tmp_path, many("q1"))),
        "data": str(data),
    }
    with pytest.raises(DataError, match="none of them is among the"):
        evaluate("gsm8k_inspector", Parrot("x"), metadata, limit=1)
