"""Tuning a causal language model with LoRA; PEFT is what judging is held to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("trl", reason="needs inspector_plugin[tune]")
pytest.importorskip("peft", reason="needs inspector_plugin[tune]")

from safetensors.torch import load_file
from tiny_tuning import CRITERIA, TELLTALE, arguments, write_data

from inspector_plugin.cli.main import main
from inspector_plugin.errors import PackError
from inspector_plugin.judging.run import judge_all
from inspector_plugin.plugins.registry import create_judge
from inspector_plugin.schema import Criterion, JudgeRequest

TONE = Criterion.from_json(CRITERIA[0])
QUESTION = "how many melons 9 9 ?"
RESPONSES = [f"so 3 then {word} . and we count ." for word in TELLTALE.values()]


@pytest.fixture(scope="module")
def pack(tiny_lm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lora")
    data = write_data(folder, problems=24)
    out = folder / "pack"
    more = ("--rank", "4", "--learning-rate", "0.01")
    assert main(arguments(*data, tiny_lm, out, *more, kind="lora")) == 0
    return out


def probabilities(pack: Path, responses: list[str]) -> list[list[float]]:
    asked = [JudgeRequest(QUESTION, response, (TONE,)) for response in responses]
    with create_judge(f"tuned:path={pack},device=cpu") as judge:
        found = [each.scores["tone"] for each in judge_all(judge, asked, progress=False)]
    return [list((each.probabilities or {}).values()) for each in found]


def test_scores_are_those_of_peft(pack: Path, tiny_lm: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    adapter = pack / "models/shared/adapter"
    model: Any = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_lm), adapter)
    tokenizer = AutoTokenizer.from_pretrained(tiny_lm)
    heads = load_file(pack / "models/shared/heads.safetensors")
    wanted = []
    for response in RESPONSES:
        ids = [
            each
            for text in (QUESTION, "\n\n", response)
            for each in tokenizer(text, add_special_tokens=False).input_ids
        ]
        with torch.inference_mode():
            states = model.base_model.model.model(torch.tensor([ids])).last_hidden_state
        logits = heads["0.linear.weight"] @ states[0, -1] + heads["0.linear.bias"]
        wanted.append(torch.softmax(logits, dim=0).tolist())
    found = probabilities(pack, [*RESPONSES, RESPONSES[0] + " and so then" * 5])
    assert len(found) == 4
    for one, other in zip(found[:3], wanted, strict=True):
        assert one == pytest.approx(other, abs=2e-4)


def test_the_rule_is_learnt_and_the_adapter_is_not_idle(pack: Path) -> None:
    card = json.loads((pack / "card.json").read_text())
    entry = card["criteria"]["tone"]
    assert entry["figures"]["nested_cross_validation"]["macro_f1"]["value"] > 0.6
    weights = load_file(pack / "models/shared/adapter/adapter_model.safetensors")
    assert any(bool(each.abs().max() > 0) for name, each in weights.items() if "lora_B" in name)
    assert card["training"]["rank"] == 4
    assert "peft" in card["training"]["versions"]


def test_an_adapter_that_was_altered_is_refused(pack: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "pack"
    shutil.copytree(pack, copy)
    path = copy / "models/shared/adapter/adapter_config.json"
    path.write_text(path.read_text().replace('"lora_alpha": 8', '"lora_alpha": 80'))
    with pytest.raises(PackError, match="SHA-256 differs"):
        create_judge(f"tuned:path={copy}")


def test_an_encoder_is_no_base_for_lora(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tiny_tuning import write_encoder

    data = write_data(tmp_path, problems=12)
    base = write_encoder(tmp_path / "base")
    assert main(arguments(*data, base, tmp_path / "out", kind="lora")) == 1
    assert "not a causal decoder" in capsys.readouterr().err


def test_a_missing_package_is_said_with_what_to_install(
    tiny_lm: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "peft", None)
    data = write_data(tmp_path, problems=12)
    assert main(arguments(*data, tiny_lm, tmp_path / "out", kind="lora")) == 1
    assert "pip install 'inspector_plugin[tune]'" in capsys.readouterr().err
