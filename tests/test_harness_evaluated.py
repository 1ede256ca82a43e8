"""A judge whose language model is the evaluated one: the weights are in memory once."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness_runs import manager
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from tiny_probes import write_pack
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from inspector_plugin.cli.main import main
from inspector_plugin.harness import task as harness_task
from inspector_plugin.harness.shared import close_judges, shared_judge
from inspector_plugin.judging.run import judge_all
from inspector_plugin.lm.loading import load_language_model
from inspector_plugin.plugins.options import JudgeSpec


@pytest.fixture
def lm_folder(tiny_lm: Path, tmp_path: Path) -> Iterator[Path]:
    """A language model that nothing else in this process has loaded."""
    folder = tmp_path / "lm"
    shutil.copytree(tiny_lm, folder)
    yield folder
    close_judges()


@pytest.fixture
def weights_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where weights are read from, as often as they are."""
    read: list[str] = []
    real = AutoModelForCausalLM.from_pretrained

    def counting(source: Any, *more: Any, **options: Any) -> Any:
        read.append(str(source))
        return real(source, *more, **options)

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", counting)
    return read


def test_tasks_and_judges_use_the_evaluated_models_weights(
    lm_folder: Path, tiny_lm: Path, tmp_path: Path, data: Path, weights_read: list[str]
) -> None:
    probes = tmp_path / "probes"
    for labels in ("multiclass", "binary"):
        write_pack(probes, load_language_model(str(tiny_lm)), labels)
    weights_read.clear()
    evaluated = HFLM(pretrained=f"{lm_folder}/", device="cpu", dtype="float32", batch_size=2)
    specs = [f"inspector:model={lm_folder},probes={probes},dataset=gsm8k,labels={labels}"
             for labels in ("multiclass", "binary")]  # fmt: skip
    results = simple_evaluate(
        model=evaluated,
        tasks=["demo_inspector", "gsm8k_inspector"],
        task_manager=manager(judge=specs, data=str(data)),
        limit=2,
        bootstrap_iters=0,
        gen_kwargs="max_gen_toks=8",
    )
    assert weights_read == [f"{lm_folder}/"]
    for task in ("demo_inspector", "gsm8k_inspector"):
        metrics = results["results"][task]
        rows = {key.split(",", 1)[1] for key in metrics if key.startswith("fluency,")}
        assert len(rows) == 2
    judge: Any = shared_judge(JudgeSpec.parse(specs[0]), {})
    assert judge._language_model.model is evaluated.model


@pytest.mark.parametrize("difference", ["peft", "dtype", "training", "delta", "revision"])
def test_altered_weights_are_not_shared(
    difference: str, lm_folder: Path, tiny_lm: Path, tmp_path: Path
) -> None:
    write_pack(tmp_path / "probes", load_language_model(str(tiny_lm)), "multiclass")
    dtype = "bfloat16" if difference == "dtype" else "float32"
    evaluated = HFLM(pretrained=str(lm_folder), device="cpu", dtype=dtype, batch_size=2)
    if difference == "training":
        evaluated.model.train()
    elif difference != "dtype":
        setattr(evaluated, difference, "adapter")
    spec = JudgeSpec.parse(f"inspector:model={lm_folder},probes={tmp_path / 'probes'}")
    judge: Any = shared_judge(spec, {})
    assert judge._language_model.model is not evaluated.model


def test_inspector_run_holds_the_weights_once(
    lm_folder: Path, tiny_lm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pack(tmp_path / "probes", load_language_model(str(tiny_lm)), "multiclass")
    in_memory: list[int] = []

    def counting(*arguments: Any, **options: Any) -> Any:
        gc.collect()
        models = [each for each in gc.get_objects() if type(each) is LlamaForCausalLM]
        in_memory.append(sum(model.name_or_path == str(lm_folder) for model in models))
        return judge_all(*arguments, **options)

    monkeypatch.setattr(harness_task, "judge_all", counting)
    spec = f"inspector:model={lm_folder},probes={tmp_path / 'probes'}"
    command = [
        "run",
        "--judge",
        spec,
        "--",
        "--model_args",
        f"pretrained={lm_folder},dtype=float32",
    ]
    command += ["--device", "cpu", "--tasks", "demo_inspector", "--limit", "1"]
    assert main([*command, "--gen_kwargs", "max_gen_toks=8"]) == 0
    assert in_memory == [1]
