"""`inspector sft`: filter, fine-tune, test; a tiny random model, the real TRL and lm_eval."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from harness_runs import manager
from tiny_tuning import without_padding_token

pytest.importorskip("trl", reason="needs inspector_plugin[tune]")
pytest.importorskip("peft", reason="needs inspector_plugin[tune]")

from inspector_plugin.cli import sft as command
from inspector_plugin.cli.main import main
from inspector_plugin.cli.sft_flags import PROMPT
from inspector_plugin.data.arms import Arm, Arms
from inspector_plugin.errors import DataError
from inspector_plugin.lm import loading
from inspector_plugin.lm.adapters import WEIGHTS, read_adapter_card
from inspector_plugin.lm.answer_loss import answer_losses
from inspector_plugin.lm.loading import load_language_model
from inspector_plugin.lm.lora_plan import Example, LoraSettings
from inspector_plugin.schema import CriterionScore, Judgement, unscored
from inspector_plugin.schema.criteria import BINARY, MULTICLASS
from inspector_plugin.workflows import task_test
from inspector_plugin.workflows.sft import Study
from inspector_plugin.workflows.sft_data import Trained, encode_example
from inspector_plugin.workflows.sft_encoding import (
    Encoding,
    StudyTexts,
    store_encoding,
    stored_encoding,
)
from inspector_plugin.workflows.sft_plan import SftPlan
from inspector_plugin.workflows.task_test import TaskTest, metrics_by_document

TEMPLATE = "{% for m in messages %}<s>{{ m['content'] }}</s>{% endfor %}<s>"


def row(number: int, score: float | None, **more: Any) -> dict[str, Any]:
    found = (
        unscored("no connection")
        if score is None
        else CriterionScore(score, round(score), scale=MULTICLASS)
    )
    return {
        "id": str(number),
        "question": f"How many are {number} + 7?",
        "response": f"There are {number + 7} jars left.",
        "judgements": {"j": Judgement({"care": found}).to_json()},
        **more,
    }


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write("judged.jsonl", *(row(n, 1 + n % 9 / 2) for n in range(20, 60)))
    return tmp_path


@pytest.fixture
def few_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let lm_eval know our tasks only, which is faster than knowing all of its own."""
    monkeypatch.setattr(
        task_test, "_manager", lambda data, seed: manager(judge=[], data=data, seed=seed)
    )


def write(path: str, *rows: dict[str, Any]) -> None:
    Path(path).write_text("".join(json.dumps(each) + "\n" for each in rows))


def run(tiny_lm: Path, *more: str) -> int:
    settings = ["--rank", "2", "--tolerance", "0.1", "--epochs", "2", "--learning-rate", "0.01"]
    return main(
        ["sft", "judged.jsonl", "--model", str(tiny_lm), "--out", "study", *settings, *more]
    )


def error_of(capsys: pytest.CaptureFixture[str], tiny_lm: Path, *more: str) -> str:
    capsys.readouterr()
    assert run(tiny_lm, *more) == 1
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_from_judged_rows_to_figures_and_again(
    tiny_lm: Path, data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tested = [row(90, 5.0, question="Question: What is 3 + 1?\nAnswer:"), row(91, None), row(20, 1)]
    with open("judged.jsonl", "a") as file:
        file.writelines(json.dumps(each) + "\n" for each in tested)
    test = ["--test", "gsm8k_inspector", "--data", str(data), "--test-limit", "3"]
    test += ["--max-tokens", "4", "--gold", str(data / "gsm8k/test.jsonl")]
    test += ["--arms", "top,random,all"]
    assert run(tiny_lm, *test) == 0
    out = capsys.readouterr().out
    assert all(len(line) <= 80 for line in out.splitlines())
    assert "its problem is in the test data" in out
    figures = json.loads(Path("study/figures.json").read_text())
    assert figures["left_out"] == {
        "unscored on care: no connection": 1,
        "its problem is in the test data": 1,
        "the same response to the same problem as an earlier row": 1,
    }
    assert {name: arm["rows"] for name, arm in figures["arms"].items()} == {
        "top": 10,
        "random": 10,
        "all": 20,
    }
    assert {arm["shown"] for arm in figures["arms"].values()} == {20}
    assert figures["measures"]["exact_match,strict-match"]["problems"] == 3
    losses = figures["measures"][command.LOSS]["arms"]
    assert list(losses) == ["base", "top", "random", "all"]
    assert figures["against"] == "random"
    assert losses["top"]["difference"]["value"] == pytest.approx(
        losses["top"]["mean"]["value"] - losses["random"]["mean"]["value"], abs=1e-5
    )
    assert losses["random"]["difference"] is None
    assert len({each["mean"]["value"] for each in losses.values()}) == 4
    # The best rows are those that the card names, and no problem of the test is among them.
    lines = Path("study/top/rows.jsonl").read_text().splitlines()
    scores = [json.loads(line)["score"] for line in lines]
    assert len(scores) == 10
    assert min(scores) >= 3
    assert read_adapter_card(Path("study/top"))["arm"] == "top"
    assert "care" not in Path("study/top/README.md").read_text()  # --by was left to the default
    assert not [path for path in Path("study").rglob("*") if path.suffix in (".bin", ".pt", ".pkl")]

    # What is finished is kept: an arm that is gone is trained again to the same weights.
    weights = (Path("study/top") / WEIGHTS).read_bytes()
    before = {path: path.stat().st_mtime_ns for path in Path("study").rglob("*.safetensors")}
    shutil.rmtree("study/top")
    monkeypatch.setattr(TaskTest, "run", None)  # no test is run again
    assert run(tiny_lm, *test) == 0
    assert (Path("study/top") / WEIGHTS).read_bytes() == weights
    assert all(
        path.stat().st_mtime_ns == at for path, at in before.items() if "top" not in str(path)
    )
    assert json.loads(Path("study/figures.json").read_text()) == figures

    # With everything there, the model is not loaded.
    Path("study/figures.json").unlink()
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(loading, "load_language_model", lambda *_: pytest.fail("loaded"))
        assert run(tiny_lm, *test) == 0
    assert capsys.readouterr().out == out
    assert json.loads(Path("study/figures.json").read_text()) == figures
    # What was encoded is no use for other texts, nor damaged.
    encoded = Path("study/encoded.json")
    for content in ("{}", encoded.read_text().replace('"kept": [0', '"kept": [999')):
        encoded.write_text(content)
        assert run(tiny_lm, *test) == 0
        assert json.loads(Path("study/figures.json").read_text()) == figures
    message = error_of(capsys, tiny_lm, *test, "--share", "0.5")
    assert "comes from another run (other share, rows)" in message


@pytest.mark.usefixtures("few_tasks")
def test_a_base_without_pad_token(
    tiny_lm: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = without_padding_token(tiny_lm, tmp_path / "no-pad")
    test = ["--test", "gsm8k_inspector", "--data", str(data), "--max-tokens", "2"]
    assert run(base, "--arms", "top", "--at-once", "4", *test) == 0
    figures = json.loads(Path("study/figures.json").read_text())
    assert figures["against"] == "base"
    assert list(figures["measures"]["exact_match,strict-match"]["arms"]) == ["base", "top"]


def test_the_loss_is_that_of_the_answer_alone(tiny_lm: Path) -> None:
    language_model = load_language_model(str(tiny_lm))
    examples = [Example((5, 6, 7), (8, 9)), Example((5,), (6, 7, 8, 9, 10))]
    losses = answer_losses(language_model, examples)
    for example, loss in zip(examples, losses, strict=True):
        ids = torch.tensor([[*example.prompt, *example.completion]])
        labels = ids.clone()
        labels[0, : len(example.prompt)] = -100
        with torch.inference_mode():
            mean = float(language_model.model(ids, labels=labels).loss)
        assert loss == pytest.approx(mean * len(example.completion), rel=1e-4)


@pytest.mark.usefixtures("few_tasks")
@pytest.mark.parametrize("template", [None, TEMPLATE])
def test_prompts_of_training_are_those_of_the_test(
    tiny_lm: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: str | None
) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_lm, base)
    if template is not None:
        config = json.loads((base / "tokenizer_config.json").read_text())
        config["chat_template"] = template
        (base / "tokenizer_config.json").write_text(json.dumps(config))
    language_model = load_language_model(str(base))
    read: list[list[int]] = []
    original = language_model.model.generate

    def generate(*args: Any, **given: Any) -> Any:
        read.extend(given["input_ids"].tolist())
        return original(*args, **given)

    monkeypatch.setattr(language_model.model, "generate", generate)
    TaskTest("gsm8k_inspector", str(data), limit=1, max_tokens=2, batch_size=1).run(language_model)
    ours = encode_example(language_model, PROMPT, "What is 0 + 1?", "1.")
    assert read == [list(ours.prompt)]


def test_the_metrics_of_documents() -> None:
    sample = {"doc_id": 4, "filter": "strict", "metrics": ["exact_match", "text"], "text": "no"}
    found = metrics_by_document({"t": [{**sample, "exact_match": True}]})
    assert found == {"exact_match,strict": {"t/4": 1.0}}


def test_another_base_of_the_same_name_is_another_run() -> None:
    plan = SftPlan("base", ("top",), 0.5, 1, 0.1, PROMPT, 100, LoraSettings())
    arms = Arms({"top": Arm("top", (), 0)}, 1, 0.0)
    first, same, other = (
        Study(Path("study"), plan, Trained([], [], Counter(), weights), arms)
        for weights in ("1f0e", "1f0e", "9a77")
    )
    first.open(overwrite=False)
    same.open(overwrite=False)
    with pytest.raises(DataError, match=r"another run \(other base_fingerprint\)"):
        other.open(overwrite=False)


def test_what_was_encoded_is_no_use_once_the_base_was_touched(tmp_path: Path) -> None:
    base, study = tmp_path / "base", tmp_path / "study"
    base.mkdir()
    study.mkdir()
    weights = base / "model.safetensors"
    weights.write_bytes(b"1")
    plan = SftPlan(str(base), ("top",), 0.5, 1, 0.1, PROMPT, 100, LoraSettings())
    texts = StudyTexts([], Counter(), [])
    store_encoding(study, plan, texts, Encoding(Trained([], [], Counter(), "1f0e"), []))
    kept = stored_encoding(study, plan, texts)
    assert kept is not None
    assert kept.data.base_fingerprint == "1f0e"
    weights.write_bytes(b"2")
    os.utime(weights, ns=(0, 0))
    assert stored_encoding(study, plan, texts) is None


@pytest.mark.usefixtures("few_tasks")
def test_only_an_unknown_task_is_said_to_be_unknown(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="--test no_such_task: lm_eval knows no such task"):
        TaskTest("no_such_task", str(data)).problems()

    def load(tasks: list[str]) -> None:
        raise KeyError("a field that is missing")

    ours = SimpleNamespace(task_index={"gsm8k_inspector": None}, load=load)
    monkeypatch.setattr(task_test, "_manager", lambda data, seed: ours)
    with pytest.raises(KeyError, match="a field that is missing"):
        TaskTest("gsm8k_inspector", str(data)).problems()


@pytest.mark.usefixtures("few_tasks")
def test_what_cannot_be_trained_on(
    tiny_lm: Path, data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "--prompt must hold {question}" in error_of(capsys, tiny_lm, "--prompt", "Say it.")
    assert "raise --max-length" in error_of(capsys, tiny_lm, "--max-length", "3")
    assert "would be the same" in error_of(capsys, tiny_lm, "--share", "1")
    assert "--epochs must be at most 1000, not 1001." in error_of(
        capsys, tiny_lm, "--epochs", "1001"
    )
    assert "rank must be at most 1024" in error_of(capsys, tiny_lm, "--rank", "1025")
    assert "goes with --test" in error_of(capsys, tiny_lm, "--test-limit", "3")
    assert "holds judged.jsonl" in error_of(capsys, tiny_lm, "--out", ".")
    Path("study").mkdir()
    Path("study/notes").touch()
    assert "is there already and no study" in error_of(capsys, tiny_lm)
    message = error_of(capsys, tiny_lm, "--exclude", "judged.jsonl")
    assert "No row is left to train on; 40 rows: its problem is in the test data" in message
    message = error_of(capsys, tiny_lm, "--test", "no_such_task", "--data", str(data))
    assert message.startswith("inspector sft: error: --test no_such_task")
    # No total: two criteria on different scales.
    both = {
        "care": CriterionScore(3.0, 3, scale=MULTICLASS),
        "sure": CriterionScore(1.0, 1, scale=BINARY),
    }
    write("judged.jsonl", row(1, 3.0, judgements={"j": Judgement(both).to_json()}))
    assert "so that there is no total" in error_of(capsys, tiny_lm)
    write("judged.jsonl", row(1, None))
    assert "unscored on care: no connection" in error_of(capsys, tiny_lm)

    # What cannot be imported for want of it.
    monkeypatch.setitem(sys.modules, "trl", None)
    assert "pip install 'inspector_plugin[tune]'" in error_of(capsys, tiny_lm)
    assert task_test.TaskTest("t").to_json()["fewshot"] == 0
