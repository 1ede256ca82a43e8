"""The agreement with a reference: two rows in lm_eval's table, all of it once in the results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import UseJudges
from harness_runs import Parrot, evaluate, scripted, sure
from lm_eval.loggers import EvaluationTracker
from lm_eval.utils import make_table

from inspector_plugin.schema import BINARY
from inspector_plugin.testing import ScriptedJudge

STATISTICS = {"accuracy", "macro_f1", "quadratic_kappa", "spearman", "somers_d"}


def test_agreement_with_a_reference_by_hand(data: Path, use_judges: UseJudges) -> None:
    ours = dict(zip("abcd", [1, 2, 4, None], strict=True))
    theirs = dict(zip("abcd", [1, 3, 4, 5], strict=True))
    use_judges(
        inspector=scripted(lambda request, key: ours[request.response]),
        gold=scripted(lambda request, key: theirs[request.response]),
    )
    metadata = {"data": str(data), "reference": "gold", "criteria": ["fluency"], "resamples": 50}
    run = evaluate("gsm8k_inspector", Parrot(*"abcd"), metadata, limit=4, bootstrap_iters=1)
    row = run["results"]["gsm8k_inspector"]
    config = run["configs"]["gsm8k_inspector"]
    agreement = config["agreement"]
    assert {name: value for name, value in agreement.items() if name != "judges"} == {
        "reference": "gold",
        "confidence": 0.95,
        "seed": 0,
        "resamples": 50,
    }
    assert list(agreement["judges"]) == ["inspector"]  # the reference is compared with nothing
    fluency, overall = (agreement["judges"]["inspector"][key] for key in ("fluency", "overall"))
    assert fluency.keys() == {"n", "scale"} | STATISTICS
    assert (fluency["n"], fluency["scale"]) == (3, [1, 2, 3, 4, 5])
    assert fluency["accuracy"]["value"] == pytest.approx(2 / 3, abs=1e-4)
    assert fluency["spearman"]["value"] == pytest.approx(1)
    # Labels 1, 2, 4 beside 1, 3, 4: squared distances sum to 1, those of all 9 pairs to 29.
    kappa = 1 - (1 / 3) / (29 / 9)
    assert fluency["quadratic_kappa"]["value"] == pytest.approx(kappa, abs=1e-4)
    assert overall["macro_f1"]["value"] == pytest.approx((1 + 0 + 0 + 1) / 4)
    low, value, high = (fluency["accuracy"][end] for end in ("low", "value", "high"))
    assert 0 <= low <= value <= high <= 1
    assert 0 < fluency["accuracy"]["stderr"] < 1
    # In lm_eval's table: two statistics over all criteria, none of the reference.
    assert row["spearman,inspector"] == pytest.approx(1)
    assert row["quadratic_kappa,inspector"] == pytest.approx(kappa)
    assert {key for key in row if key.endswith(",gold") and "_stderr" not in key} == {
        f"{name},gold" for name in ("fluency", "total", "coverage")
    }
    assert row["fluency,gold"] == 13 / 4
    assert config["metadata"]["inspector"]["reference"] == "gold"
    table = make_table(run)
    assert "|spearman " in table
    assert "|quadratic_kappa" in table
    assert "_stderr" not in table


@pytest.mark.parametrize(
    ("limit", "theirs", "value", "n"),
    [(1, 3, "not enough", 1), (2, None, "not enough", 0), (3, 3, "undefined", 3)],
)
def test_agreement_that_cannot_be_had_is_no_number(
    data: Path, use_judges: UseJudges, limit: int, theirs: int | None, value: str, n: int
) -> None:
    use_judges(inspector=scripted(sure), gold=scripted(lambda request, key: theirs))
    metadata = {"data": str(data), "reference": "gold", "criteria": "fluency"}
    run = evaluate("gsm8k_inspector", Parrot("a", "bb", "ccc"), metadata, limit=limit)
    row = run["results"]["gsm8k_inspector"]
    fluency = run["configs"]["gsm8k_inspector"]["agreement"]["judges"]["inspector"]["fluency"]
    assert fluency["n"] == n
    assert fluency["spearman"] is None
    assert row["spearman,inspector"] == value
    assert row["spearman_stderr,inspector"] == "N/A"
    assert value in make_table(run)


def test_a_run_with_missing_scores_is_strict_json_and_samples_stay_short(
    data: Path, use_judges: UseJudges, tmp_path: Path
) -> None:
    use_judges(
        inspector=scripted(lambda request, key: None if key == "fluency" else 3),
        gold=lambda labels: ScriptedJudge(lambda request, key: 1, BINARY),
    )
    metadata = {"data": str(data), "reference": "gold", "resamples": 5}
    tracker = EvaluationTracker(output_path=str(tmp_path))
    run = evaluate(
        "gsm8k_inspector", Parrot("a", "b"), metadata, bootstrap_iters=1, evaluation_tracker=tracker
    )
    samples = run.pop("samples")["gsm8k_inspector"]
    assert set(run["results"]["gsm8k_inspector"]) >= {"factuality,inspector", "coverage,inspector"}
    assert "fluency,inspector" not in run["results"]["gsm8k_inspector"]
    tracker.save_results_aggregated(results=run, samples={"gsm8k_inspector": samples})
    tracker.save_results_samples("gsm8k_inspector", samples)
    (results,) = tmp_path.glob("**/results_*.json")
    json.dumps(json.loads(results.read_text(encoding="utf-8")), allow_nan=False)  # no NaN
    (path,) = tmp_path.glob("**/samples_*.jsonl")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    (first,) = [line for line in lines if line["filter"] == "inspector" and line["doc_id"] == 0]
    assert len(first["metrics"]) <= 9
    assert first["spearman"] == "see agreement in the results"
    # The five scores, each with scale and fingerprint, are all that is added to a sample.
    added = len(json.dumps(first["filtered_resps"]))
    (plain,) = [line for line in lines if line["filter"] == "strict-match" and not line["doc_id"]]
    assert len(json.dumps(first)) - len(json.dumps(plain)) < added + 500


def test_at_most_nine_rows_a_judge_also_with_ten_criteria(
    data: Path, use_judges: UseJudges, tmp_path: Path
) -> None:
    keys = [f"criterion_{number}" for number in range(10)]
    content = {
        "format_version": 1,
        "name": "ten",
        "criteria": [{"key": key, "definition": f"About {key}."} for key in keys],
    }
    path = tmp_path / "ten.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    use_judges(inspector=scripted(sure), gold=scripted(sure))
    metadata = {"data": str(data), "criteria": str(path), "reference": "gold", "resamples": 5}
    run = evaluate("gsm8k_inspector", Parrot("a", "bb"), metadata, limit=3)
    row = run["results"]["gsm8k_inspector"]

    def names(judge: str) -> list[str]:
        found = [key.split(",")[0] for key in row if key.endswith(f",{judge}")]
        return [name for name in found if not name.endswith("_stderr")]

    over_all = ["total", "coverage"]
    assert names("inspector") == [*keys[:5], *over_all, "spearman", "quadratic_kappa"]
    assert names("gold") == [*keys[:7], *over_all]
    table = make_table(run).splitlines()
    assert sum("|inspector " in line for line in table) == 9
    config = run["configs"]["gsm8k_inspector"]
    assert list(config["scores"]["inspector"]["criteria"]) == keys
    assert list(config["agreement"]["judges"]["inspector"]) == [*keys, "overall"]
