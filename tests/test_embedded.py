"""The shipped probe packs and the embedded language model, for real."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from inspector_plugin.cli.main import main
from inspector_plugin.data.folds import fold_of
from inspector_plugin.errors import ModelError
from inspector_plugin.folders import shipped_folder
from inspector_plugin.judges.inspector.inputs import Reading
from inspector_plugin.judges.inspector.pack_choice import packs_root
from inspector_plugin.judges.inspector.pack_folders import model_folder
from inspector_plugin.judges.inspector.packs import read_card, read_pack
from inspector_plugin.judges.inspector.probe import CrossFittedProbe
from inspector_plugin.judging.cache import JudgeCache
from inspector_plugin.judging.run import judge_all
from inspector_plugin.lm.catalog import installed_folder
from inspector_plugin.plugins.registry import create_judge
from inspector_plugin.schema.correctness import CORRECTNESS
from inspector_plugin.schema.records import JudgeRequest
from inspector_plugin.schema.roscoe import ROSCOE, ROSCOE_KEYS
from inspector_plugin.testing import check_judge

NAME = "smollm2-135m-instruct"
PACKS = shipped_folder("probes") / NAME
FAST_PACKS = shipped_folder("probes") / "fast" / NAME
LABELS = ("multiclass", "binary")
ROWS = [
    {
        "id": "eggs",
        "question": "A hen lays 5 eggs a week. How many do 3 hens lay in 4 weeks?",
        "response": "One hen lays 5 * 4 = 20 eggs in 4 weeks.\nThree hens lay 3 * 20 = 60 eggs.",
    },
    {
        "id": "eggs",
        "question": "A hen lays 5 eggs a week. How many do 3 hens lay in 4 weeks?",
        "response": "hens hens eggs 5 5 5 so maybe 7 or also",
    },
    {"id": "none", "question": "What is 2 + 2?", "response": ""},
]


def is_installed() -> bool:
    try:
        installed_folder(NAME)
    except ModelError:
        return False
    return True


needs_model = pytest.mark.skipif(
    not is_installed(), reason=f"run: inspector models install {NAME} (make test does)"
)


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("dataset", ["gsm8k", "gpqa"])
def test_every_fast_pack_ships_whole_and_with_its_figures(dataset: str, labels: str) -> None:
    pack = read_pack(FAST_PACKS / dataset / labels)
    assert list(pack.probes) == list(ROSCOE_KEYS)
    assert pack.transferred_to is None
    assert pack.labels == labels
    assert tuple(probe.criterion for probe in pack.probes.values()) == ROSCOE
    for probe in pack.probes.values():
        figures = probe.record["figures"]
        for name in ("nested_cross_validation", "surface_counts", "surface_words"):
            figure = figures[name]["macro_f1"]
            assert 0 < figure["low"] <= figure["value"] <= figure["high"] < 1
        assert 0 < figures["chance"]["macro_f1"]["value"] < 1


@pytest.mark.parametrize("labels", LABELS)
def test_math_is_judged_by_the_gsm8k_packs_and_its_card_says_so(labels: str) -> None:
    card = read_card(FAST_PACKS / "math" / labels)
    assert (card["transferred"], card["transferred_from"]) == (True, "gsm8k")
    for packs in (PACKS, FAST_PACKS):
        pack = read_pack(packs / "math" / labels)
        assert (pack.dataset, pack.transferred_to) == ("gsm8k", "math")


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("dataset", ["gsm8k", "gpqa", "math"])
def test_every_cross_fitted_pack_ships_whole_and_with_its_figures(
    dataset: str, labels: str
) -> None:
    pack = read_pack(PACKS / dataset / labels)
    assert list(pack.probes) == [*ROSCOE_KEYS, "correctness"]
    assert pack.labels == labels
    card = read_card(PACKS / dataset / labels)
    assert 0 < card["figures"]["calibration"]["ece"] < 0.1
    for key, entry in card["criteria"].items():
        figures = entry["figures"]
        if key == "correctness":
            assert 0.5 < figures["auc"]["all"] < 1
            assert ("transferred_from" in entry) == (dataset != "gsm8k")
            continue
        for name in ("nested_cross_validation", "averaged_route", "surface_counts"):
            figure = figures[name]["macro_f1"]
            assert 0 < figure["low"] <= figure["value"] <= figure["high"] < 1


def test_a_known_problem_is_judged_by_its_own_fold_and_no_other() -> None:
    probe = read_pack(PACKS / "gsm8k" / "multiclass").probes["fluency"]
    assert isinstance(probe, CrossFittedProbe)
    known = sorted(probe.models.known)[:50]
    shares = probe.models.shares([*known, "of a problem that nobody knows"])
    assert [row.tolist().index(1.0) for row in shares[:-1]] == [fold_of(each) for each in known]
    assert shares[-1].tolist() == [0.2] * 5


def test_cards_hold_no_text_of_the_data() -> None:
    for path in shipped_folder("probes").rglob("card.json"):
        card = json.loads(path.read_text(encoding="utf-8"))
        for entry in {**card.get("aspects", {}), **card.get("criteria", {})}.values():
            parts = entry.get("layout", card.get("cross_fitted", {}).get("layout"))["parts"]
            assert [part["field"] for part in parts if "field" in part] == ["question", "response"]
            assert sum(len(part.get("text", "")) for part in parts) < 1000


@needs_model
@pytest.mark.parametrize("labels", LABELS)
def test_the_judge_keeps_the_contract(labels: str) -> None:
    check_judge(create_judge(f"inspector:labels={labels}"))


@needs_model
def test_the_fast_probes_are_judged_by_when_asked_for() -> None:
    judge = create_judge("inspector:probes=fast")
    assert judge.describe()["packs"]["gsm8k"]["layout"] == "bare"
    assert judge.cannot_judge(CORRECTNESS, "gsm8k") is not None
    assert create_judge("inspector").cannot_judge(CORRECTNESS, "gsm8k") is None


@needs_model
def test_the_full_probes_look_at_the_likelihood_of_tokens() -> None:
    question = "Anna has 3 apples and buys 4 more. How many apples does she have?"
    right = "She starts with 3 apples. She buys 4 more, so she has 3 + 4 = 7 apples.\nAnswer: 7"
    wrong = right.replace("7", "9")
    requests = [
        JudgeRequest(question, response, (*ROSCOE_KEYS, "correctness"), dataset="gsm8k")
        for response in (right, wrong, question)
    ]
    with create_judge("inspector:probes=full") as judge:
        found = [each.scores for each in judge.judge(requests)]
    assert found[0]["correctness"].score > found[1]["correctness"].score + 0.1
    totals = [sum(scores[key].score for key in ROSCOE_KEYS) for scores in found]
    assert totals[0] > totals[1] > totals[2]
    assert "off-task" in found[2]["fluency"].flags
    packs = model_folder(packs_root("full"), NAME)
    for path in packs.glob("*/*"):
        assert read_pack(path).probes["fluency"].features() > set(Reading(20).features)


@needs_model
def test_what_is_left_out_for_its_confidence_is_judged_anew_without_that_bound(
    tmp_path: Path,
) -> None:
    requests = [JudgeRequest(ROWS[0]["question"], ROWS[0]["response"], ("fluency",), "gsm8k")]
    found = []
    with JudgeCache(tmp_path / "cache.sqlite") as cache:
        for spec in ("inspector:min_confidence=0.99", "inspector"):
            with create_judge(spec) as judge:
                found += judge_all(judge, requests, cache=cache)
    strict, plain = (each.scores["fluency"] for each in found)
    assert strict.score is None
    assert "is below min_confidence 0.99" in (strict.reason or "")
    assert plain.score is not None


def test_a_folder_of_ones_own_goes_before_packs_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert packs_root("full") == shipped_folder("probes") / "full"
    assert packs_root(None) is None
    (tmp_path / "full").mkdir()
    assert packs_root("full") == Path("full")


@needs_model
def test_score_judges_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "rows.jsonl", tmp_path / "judged.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    command = ["score", str(source), "--judge", "inspector", "--out", str(out)]
    assert main([*command, "--dataset", "gsm8k"]) == 0
    judged = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [{key: row[key] for key in ROWS[0]} for row in judged] == ROWS
    good, bad, empty = (row["judgements"]["inspector"]["scores"] for row in judged)
    for key in ROSCOE_KEYS:
        # Each is rounded to four digits.
        assert sum(good[key]["probabilities"].values()) == pytest.approx(1, abs=2.5e-4)
        assert 1 <= good[key]["score"] <= 5
        assert good[key]["label"] in range(1, 6)
        assert empty[key]["score"] is None
        assert empty[key]["reason"] == "the response is empty"
    assert good["fluency"]["score"] > bad["fluency"]["score"]
    assert sum(good[key]["score"] for key in ROSCOE_KEYS) - 2 > sum(
        bad[key]["score"] for key in ROSCOE_KEYS
    )


@needs_model
def test_a_bare_lm_eval_evaluates_and_judges(tmp_path: Path) -> None:
    folder = installed_folder(NAME)
    command = [sys.executable, "-m", "lm_eval", "--model", "hf", "--device", "cpu"]
    command += ["--model_args", f"pretrained={folder},dtype=float32", "--batch_size", "2"]
    command += ["--tasks", "demo_inspector", "--limit", "2", "--gen_kwargs", "max_gen_toks=64"]
    command += ["--log_samples", "--output_path", str(tmp_path)]
    command += ["--metadata", '{"judge": "inspector", "criteria": "fluency,logicality"}']
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr[-2000:]
    for row in ("exact_match", "fluency", "logicality", "total", "coverage"):
        assert row in finished.stdout
    results = json.loads(next(tmp_path.rglob("results_*.json")).read_text())
    metrics = results["results"]["demo_inspector"]
    assert 1 <= metrics["fluency,inspector"] <= 5
    assert metrics["coverage,inspector"] == 1
    assert "informativeness,inspector" not in metrics
